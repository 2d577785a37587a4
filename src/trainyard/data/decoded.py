"""Image files decoded once and kept on disk, under a key of their contents."""

import hashlib
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.check_files import check_files
from trainyard.data.content import content_digests
from trainyard.data.image_files import quiet, read_extremes
from trainyard.data.kept import held, kept, why
from trainyard.data.pixel_values import Range, common_range
from trainyard.errors import reject

FORMAT = 2  # of the cache; a new number invalidates older entries


@dataclass(frozen=True)
class Decoded:
    """What became of a list of image files.

    Attributes:
        pixels: uint8 `[N, C, H, W]`, mapped from disk; zeros where a file cannot be read; `None` where not asked for.
        sums: of each picture's values and of their squares, int64 `[N, C, 2]`.
        errors: what is wrong with the files that cannot be read, by position.
        digests: of the files' contents, bytes `[N, 16]`.
        value_range: by which images over 8 bits per channel were read, see `read_image`.
        extremes: of the values of the files that determined it, see `read_extremes`, `[M, 2]`; `None` where it was
            given.
    """

    pixels: Tensor | None
    sums: Tensor
    errors: dict[int, str]
    digests: NDArray[np.uint8]
    value_range: Range | None = ()
    extremes: NDArray[np.float64] | None = None


def decode(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    cache: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: Range | None = (),
    training: Sequence[int] | None = None,
) -> Decoded:
    """Return the pictures of the files, from the cache where the same contents were decoded before.

    Two processes that ask at once decode once: the second waits. What is half written is never seen. Where the cache
    cannot be written, the log says so, and nothing is kept.

    Args:
        paths: of the files.
        shape: `(C, H, W)` of the pictures.
        cache: folder.
        keep_pixels: whether pixels are kept, or sums alone.
        num_workers: processes that decode.
        value_range: see `read_image`.
        training: positions of the files whose values determine the range instead.

    Raises:
        ConfigError: the disk is full.
    """
    extremes = None
    with held(cache, ".lock", "images are decoded at each start") as folder:
        try:
            digests = content_digests(paths, folder)
            if training is not None:
                extremes = file_extremes([paths[place] for place in training], digests[training], folder)
                value_range = common_range(extremes)

            def fill(draft: Path) -> None:
                errors = check_files(paths, shape, draft, keep_pixels, num_workers, value_range)
                (draft / "errors.json").write_text(json.dumps(errors), encoding="utf-8")

            entry = folder / cache_key(digests, shape, keep_pixels, value_range)
            found = kept(entry, fill, lambda whole: load(whole, digests, keep_pixels))
            return replace(found, value_range=value_range, extremes=extremes)
        except OSError as error:
            size = math.ceil(len(paths) * math.prod(shape) / 2**20)
            accepted = f"a folder on a disk with {size} MiB free, or data.resident=false"
            raise reject("data.cache", folder, f"cannot be written ({why(error)})", accepted) from error


def file_extremes(paths: Sequence[Path], digests: NDArray[np.uint8], folder: Path) -> NDArray[np.float64]:
    """Return what `read_extremes` finds in each file, `[N, 2]`; from the cache where the contents are the same."""
    entry = folder / f"{cache_key(digests, (), False, ())}.extremes.npy"
    with suppress(OSError, ValueError, EOFError):  # not there, or cut by a crash of the machine
        return np.load(entry)  # type: ignore[no-any-return]
    with quiet(), ThreadPoolExecutor() as pool:  # each thread restores the filters of warnings, in any order
        found = np.array(list(pool.map(read_extremes, paths)), dtype=np.float64).reshape(-1, 2)
    draft = entry.with_suffix(".draft.npy")
    np.save(draft, found)
    draft.rename(entry)
    return found


def cache_key(digests: NDArray[np.uint8], shape: tuple[int, ...], keep_pixels: bool, value_range: Range | None) -> str:
    """Return the name under which such pictures of such files are kept; another version of PIL may read others."""
    key = hashlib.blake2b(digests.tobytes(), digest_size=10)
    key.update(f"{FORMAT} {keep_pixels} {value_range} {PIL.__version__}".encode())
    return f"{key.hexdigest()}-{'x'.join(map(str, shape))}"


def load(entry: Path, digests: NDArray[np.uint8], keep_pixels: bool) -> Decoded:
    """Return what is kept in a folder of the cache; the pixels are mapped, not read.

    Raises:
        OSError, ValueError, EOFError: it is not there or damaged.
    """
    errors = json.loads((entry / "errors.json").read_text(encoding="utf-8"))
    return Decoded(
        pixels=torch.from_numpy(np.load(entry / "pixels.npy", mmap_mode="c")) if keep_pixels else None,
        sums=torch.from_numpy(np.load(entry / "sums.npy")),
        errors={int(position): text for position, text in errors.items()},
        digests=digests,
    )
