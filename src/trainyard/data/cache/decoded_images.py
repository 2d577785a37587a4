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
from torch.utils.data import DataLoader, Dataset

from trainyard.data.cache import cached_array, error_reason, load_or_create, lock_cache
from trainyard.data.images.image_files import read_image, read_min_max, suppress_warnings
from trainyard.data.images.pixel_values import ValueRange, common_range
from trainyard.data.loading.fingerprint import file_digests
from trainyard.data.loading.sampler import derive_generator
from trainyard.errors import reject
from trainyard.terminal.display import counting

FORMAT = 2  # of the cache; a new number invalidates older entries
BATCH = 64  # files that a worker reads at a time
FEW = 1000  # files for which starting workers takes longer than it saves

Checked = tuple[NDArray[np.uint8], NDArray[np.int64], str]


@dataclass(frozen=True)
class DecodedImages:
    """The result of decoding a list of image files.

    Attributes:
        pixels: uint8 `[N, C, H, W]`, memory-mapped; zeros for unreadable files; `None` if not requested.
        sums: of each image's values and of their squares, int64 `[N, C, 2]`.
        errors: messages of unreadable files, by position.
        digests: of the files' contents, uint8 `[N, 16]`.
        value_range: of images with more than 8 bits per channel, see `read_image`.
    """

    pixels: Tensor | None
    sums: Tensor
    errors: dict[int, str]
    digests: NDArray[np.uint8]
    value_range: ValueRange = ()


def decode_images(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    cache: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: ValueRange = (),
    training: Sequence[int] | None = None,
) -> DecodedImages:
    """Decode files, or load them from the cache if the same contents were decoded before.

    If two processes need the same entry, one decodes and the other waits. If the cache cannot be written, a warning is
    logged and nothing is kept.

    Args:
        paths: of the files.
        shape: `(C, H, W)` of the images.
        cache: folder.
        keep_pixels: whether pixels are kept, or only sums.
        num_workers: processes that decode.
        value_range: see `read_image`.
        training: positions of the files whose values determine the range instead.

    Raises:
        ConfigError: the disk is full.
    """
    with lock_cache(cache, ".lock", "images are decoded at each start") as folder:
        try:
            digests = file_digests(paths, folder)
            if training is not None:
                value_range = training_range([paths[place] for place in training], digests[training], folder)

            def create(draft: Path) -> None:
                errors = decode_files(paths, shape, draft, keep_pixels, num_workers, value_range)
                (draft / "errors.json").write_text(json.dumps(errors), encoding="utf-8")

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
            raise reject("data.cache", folder, f"cannot be written ({error_reason(error)})", accepted) from error


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


class DecodingDataset(Dataset[Checked]):
    """The image, the sums of its values and of their squares per channel, and the error of each file."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int], value_range: ValueRange) -> None:
        self.paths, self.shape, self.value_range = paths, shape, value_range

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Checked:
        path = self.paths[position]
        image, error = np.zeros(self.shape, np.uint8), ""
        try:
            image = read_image(path, self.shape, self.value_range)
        except OSError as failure:
            error = str(failure).removeprefix(f"{path}: ")
        values = image.reshape(len(image), -1).astype(np.int64)
        return image, np.stack([values.sum(1), np.square(values).sum(1)], axis=1), error


def decode_files(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    folder: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: ValueRange,
) -> dict[int, str]:
    """Write `pixels.npy` (if they are kept) and `sums.npy` of all files to a folder; return the errors by position."""
    count = len(paths)
    sums: list[NDArray[np.int64]] = []
    errors: dict[int, str] = {}
    loader = DataLoader(
        DecodingDataset(paths, shape, value_range),
        batch_size=BATCH,
        num_workers=num_workers if count > FEW else 0,
        collate_fn=list,
        generator=derive_generator(0),  # so that the run's own generator stays untouched
    )
    file = folder / "pixels.npy" if keep_pixels else Path(os.devnull)
    with counting("reading images", count, "images") as add, file.open("wb") as pixels:
        np.lib.format.write_array_header_1_0(pixels, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for batch in loader:
            for image, image_sums, error in batch:
                pixels.write(image.tobytes())  # writing to a memory map would kill the process on a full disk
                if error:
                    errors[len(sums)] = error
                sums.append(image_sums)
            add(len(batch))
    np.save(folder / "sums.npy", np.stack(sums))
    return errors
