"""The cache of decoded image files, keyed by their contents."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cache import cached_array, error_reason, load_or_create, lock_cache
from trainyard.data.images.image_files import check_regular, read_image, read_min_max, suppress_warnings
from trainyard.data.images.pixel_values import ValueRange, common_range
from trainyard.data.loading.statistics import DIGEST_SIZE
from trainyard.io.errors import config_error
from trainyard.terminal.display import progress_counter

FORMAT = 2  # of the cache; a new number invalidates older entries
CHUNK = 64  # files submitted at a time: all of them are awaited after Ctrl-C


@dataclass(frozen=True)
class DecodedImages:
    """The result of decoding a list of image files."""

    pixels: Tensor | None  # uint8 [N, C, H, W], memory-mapped, zeros for unreadable files; `None` without `keep_pixels`
    sums: Tensor  # of each image's values and of their squares, int64 [N, C, 2]
    errors: dict[int, str]  # of unreadable files, by position
    digests: NDArray[np.uint8]  # of the files' contents, [N, 16]
    value_range: ValueRange = ()  # see `read_image`

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Whether each file could be decoded, bool `[N]`."""
        return ~np.isin(np.arange(len(self.digests)), list(self.errors))


def decode_images(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    cache: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: ValueRange = (),
    training: NDArray[np.int64] | None = None,
) -> DecodedImages:
    """Decode files to `shape` `(C, H, W)`, or load them from the cache if the same contents were decoded before.

    If the positions of `training` files are given, the values in these files determine the value range.

    Raises:
        ConfigError: the disk is full.
    """
    with lock_cache(cache, ".lock", "images are decoded at each start") as folder:
        try:
            digests = file_digests(paths, folder)
            if training is not None:
                value_range = training_range([paths[position] for position in training], digests[training], folder)

            def create(draft: Path) -> None:
                decode_files(paths, shape, draft, keep_pixels, num_workers, value_range)

            def load(entry: Path) -> DecodedImages:
                errors = json.loads((entry / "errors.json").read_text(encoding="utf-8"))
                return DecodedImages(
                    torch.from_numpy(np.load(entry / "pixels.npy", mmap_mode="c")) if keep_pixels else None,
                    torch.from_numpy(np.load(entry / "sums.npy")),
                    {int(position): text for position, text in errors.items()},
                    digests,
                )

            entry = folder / cache_key(digests, shape, keep_pixels, value_range)
            return replace(load_or_create(entry, create, load), value_range=value_range)
        except OSError as error:
            size = math.ceil(len(paths) * math.prod(shape) / 2**20)
            accepted = f"a folder on a disk with {size} MiB free, or data.resident=false"
            raise config_error("data.cache", folder, f"cannot be written ({error_reason(error)})", accepted) from error


def file_digests(paths: Sequence[Path], cache: Path) -> NDArray[np.uint8]:
    """Return a digest of each file's content, uint8 `[N, 16]`; zeros for a file that cannot be opened.

    The result is cached for files of unchanged size and modification time, unless some cannot be opened.
    """
    key = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for path in paths:
        try:
            state = path.stat()
            changes = f"{state.st_size} {state.st_mtime_ns}"
        except OSError:
            changes = ""
        key.update(f"{path.absolute()}\0{changes}\0".encode(errors="surrogateescape"))

    def digest(path: Path) -> bytes:
        try:
            check_regular(path)
            return hashlib.blake2b(path.read_bytes(), digest_size=DIGEST_SIZE).digest()
        except OSError:  # reported when the file is decoded
            return bytes(DIGEST_SIZE)

    def compute() -> NDArray[np.uint8]:
        with ThreadPoolExecutor() as pool:
            return np.frombuffer(b"".join(pool.map(digest, paths)), np.uint8).reshape(-1, DIGEST_SIZE)

    return cached_array(
        cache / f"{key.hexdigest()}.digests.npy", compute, valid=lambda digests: bool(digests.any(1).all())
    )


def training_range(paths: Sequence[Path], digests: NDArray[np.uint8], folder: Path) -> ValueRange:
    """Return the common value range of files; their extreme values are cached."""

    def compute() -> NDArray[np.float64]:
        with suppress_warnings(), ThreadPoolExecutor() as pool:  # warning filters are not thread-safe
            return np.array(list(pool.map(read_min_max, paths)), dtype=np.float64).reshape(-1, 2)

    return common_range(cached_array(folder / f"{cache_key(digests, (), False, ())}.extremes.npy", compute))


def cache_key(digests: NDArray[np.uint8], shape: tuple[int, ...], keep_pixels: bool, value_range: ValueRange) -> str:
    """Return the name of an entry; it depends on the version of PIL, which may change how files are decoded."""
    key = hashlib.blake2b(digests.tobytes(), digest_size=10)
    key.update(f"{FORMAT} {keep_pixels} {value_range} {PIL.__version__}".encode())
    return f"{key.hexdigest()}-{'x'.join(map(str, shape))}"


def decode_files(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    folder: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: ValueRange,
) -> None:
    """Write `sums.npy`, `errors.json` (by position) and, with `keep_pixels`, `pixels.npy` of all files."""
    count, sums, errors = len(paths), np.zeros((len(paths), shape[0], 2), np.int64), {}

    def decode(path: Path) -> tuple[NDArray[np.uint8], str]:
        try:
            return read_image(path, shape, value_range), ""
        except OSError as error:
            return np.zeros(shape, np.uint8), str(error).removeprefix(f"{path}: ")

    file = folder / "pixels.npy" if keep_pixels else Path(os.devnull)
    with (
        suppress_warnings(),  # here, because warning filters are not thread-safe
        ThreadPoolExecutor(max(1, num_workers)) as pool,
        progress_counter("reading images", count, "images") as add,
        file.open("wb") as pixels,
    ):
        np.lib.format.write_array_header_1_0(pixels, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for start in range(0, count, CHUNK):
            for position, (image, error) in enumerate(pool.map(decode, paths[start : start + CHUNK]), start):
                pixels.write(image.tobytes())  # writing to a memory map would kill the process on a full disk
                values = image.reshape(shape[0], -1).astype(np.int64)
                sums[position] = np.stack([values.sum(1), np.square(values).sum(1)], axis=1)
                if error:
                    errors[position] = error
            add(min(CHUNK, count - start))
    np.save(folder / "sums.npy", sums)
    (folder / "errors.json").write_text(json.dumps(errors), encoding="utf-8")
