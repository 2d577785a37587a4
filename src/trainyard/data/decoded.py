"""Image files decoded once and kept on disk, under a key of their contents."""

import hashlib
import json
import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import PIL
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.check_files import check_files
from trainyard.data.content import content_digests
from trainyard.errors import reject

log = logging.getLogger(__name__)

FORMAT = 1  # of what is kept; another number makes all of it anew


@dataclass(frozen=True)
class Decoded:
    """What became of a list of image files.

    Attributes:
        pixels: uint8 `[N, C, H, W]`, mapped from disk; zeros where a file cannot be read; `None` where not asked for.
        sums: of each picture's values and of their squares, int64 `[N, C, 2]`.
        errors: what is wrong with the files that cannot be read, by position.
        digests: of the files' contents, bytes `[N, 16]`.
    """

    pixels: Tensor | None
    sums: Tensor
    errors: dict[int, str]
    digests: NDArray[np.uint8]


def decode(
    paths: Sequence[Path], shape: tuple[int, int, int], cache: Path, keep_pixels: bool, num_workers: int
) -> Decoded:
    """Return the pictures of the files, from the cache where the same contents were decoded before.

    Two processes that ask at once decode once: the second waits. What is half written is never seen. Where the cache
    cannot be written, the log says so, and nothing is kept.

    Raises:
        ConfigError: the disk is full.
    """
    with ExitStack() as held:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(cache / ".lock"))
        except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
            log.warning("data.cache=%s cannot be written (%s): images are decoded at each start", cache, why(error))
            cache = Path(held.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        try:
            digests = content_digests(paths, cache)
            entry = cache / cache_key(digests, shape, keep_pixels)
            if not is_whole(entry, digests, keep_pixels):
                fill(entry, paths, shape, keep_pixels, num_workers)
            return load(entry, digests, keep_pixels)
        except OSError as error:
            size = math.ceil(len(paths) * math.prod(shape) / 2**20)
            accepted = f"a folder on a disk with {size} MiB free, or data.resident=false"
            raise reject("data.cache", cache, f"cannot be written ({why(error)})", accepted) from error


def fill(entry: Path, paths: Sequence[Path], shape: tuple[int, int, int], keep_pixels: bool, num_workers: int) -> None:
    """Decode the files into a folder of the cache, whole or not at all.

    Raises:
        OSError: the disk is full.
    """
    for broken in (entry, *entry.parent.glob("*.draft")):  # left by a crash: the lock lets nobody else write
        shutil.rmtree(broken, ignore_errors=True)
    draft = entry.with_suffix(".draft")
    draft.mkdir()
    try:
        errors = check_files(paths, shape, draft, keep_pixels, num_workers)
        (draft / "errors.json").write_text(json.dumps(errors), encoding="utf-8")
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def cache_key(digests: NDArray[np.uint8], shape: tuple[int, int, int], keep_pixels: bool) -> str:
    """Return the name under which such pictures of such files are kept; another version of PIL may read others."""
    key = hashlib.blake2b(digests.tobytes(), digest_size=10)
    key.update(f"{FORMAT} {keep_pixels} {PIL.__version__}".encode())
    return f"{key.hexdigest()}-{'x'.join(map(str, shape))}"


def is_whole(entry: Path, digests: NDArray[np.uint8], keep_pixels: bool) -> bool:
    """Whether a folder of the cache is there, and its files as long as they say (a crash of the machine cuts them)."""
    try:
        load(entry, digests, keep_pixels)
    except (OSError, ValueError, EOFError):
        return False
    return True


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


def why(error: Exception) -> str:
    """Return the reason that an error gives, without the path."""
    return getattr(error, "strerror", None) or str(error)
