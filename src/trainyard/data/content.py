"""Digests of files' contents, read once: a file of the same size and time of change is taken to be the same."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 16  # bytes of a digest


def content_digests(paths: Sequence[Path], cache: Path) -> NDArray[np.uint8]:
    """Return a digest of each file's content, uint8 `[N, 16]`; from the cache where no file changed since."""
    seen = hashlib.blake2b(digest_size=SIZE)
    for path in paths:
        state = path.stat()
        seen.update(f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="surrogateescape"))
    kept = cache / f"{seen.hexdigest()}.digests.npy"
    if kept.is_file():
        return np.load(kept)  # type: ignore[no-any-return]
    with ThreadPoolExecutor() as pool:
        digests = np.frombuffer(b"".join(pool.map(digest, paths)), np.uint8).reshape(-1, SIZE)
    draft = kept.with_suffix(".draft.npy")
    np.save(draft, digests)
    draft.rename(kept)
    return digests


def digest(path: Path) -> bytes:
    """Return the digest of one file's content."""
    with path.open("rb") as file:
        hashed = hashlib.blake2b(digest_size=SIZE)
        while block := file.read(1 << 20):
            hashed.update(block)
        return hashed.digest()
