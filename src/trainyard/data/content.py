"""Digests of what files and examples hold.

Files are read once: one of the same size and time of change is taken to be the same.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.image_files import ImageFiles, check_regular

SIZE = 16  # bytes of a digest
UNREADABLE = bytes(SIZE)  # in place of that of a file that cannot be opened


def content_digests(paths: Sequence[Path], cache: Path) -> NDArray[np.uint8]:
    """Return a digest of each file's content, uint8 `[N, 16]`; from the cache where no file changed since.

    That of a file that cannot be opened is all zeros; then nothing is kept, since it may change its state unseen.
    """
    seen = hashlib.blake2b(digest_size=SIZE)
    for path in paths:
        seen.update(f"{path.absolute()}\0{size_and_time(path)}\0".encode(errors="surrogateescape"))
    kept = cache / f"{seen.hexdigest()}.digests.npy"
    with suppress(OSError, ValueError, EOFError):  # not there, or cut by a crash of the machine
        return np.load(kept)  # type: ignore[no-any-return]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(digest, paths))
    digests = np.frombuffer(b"".join(found), np.uint8).reshape(-1, SIZE)
    if UNREADABLE in found:
        return digests
    draft = kept.with_suffix(".draft.npy")
    np.save(draft, digests)
    draft.rename(kept)
    return digests


def size_and_time(path: Path) -> str:
    """Return by what a change of a file is noticed; nothing for a link to nowhere."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{state.st_size} {state.st_mtime_ns}"


def digest(path: Path) -> bytes:
    """Return the digest of one file's content."""
    hashed = hashlib.blake2b(digest_size=SIZE)
    try:
        check_regular(path)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    except OSError:  # said when it is decoded
        return UNREADABLE
    return hashed.digest()


def example_digests(images: Tensor | ImageFiles) -> list[bytes]:
    """Return a digest of each image, or of its file where it is not read yet."""
    if isinstance(images, ImageFiles):
        return [content.tobytes() for content in images.contents]
    return [hashlib.blake2b(row, digest_size=SIZE).digest() for row in images.contiguous().flatten(1).numpy()]
