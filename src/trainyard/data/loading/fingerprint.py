"""Digests of files, images and whole data sets."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cache import cached_array
from trainyard.data.images.image_files import ImageFiles, check_regular
from trainyard.data.loading.datamodule import DataModule

SAMPLE = 2**18  # bytes of the inputs of a split that are hashed
DIGEST_SIZE = 16  # bytes
UNREADABLE = bytes(DIGEST_SIZE)  # digest of a file that cannot be opened


def fingerprint(data: DataModule) -> dict[str, dict[str, Any]]:
    """Return a description of each split by which changes are noticed; the same for resident and streamed data.

    Returns:
        For each split: the number of its `examples` and `classes`, of the examples of the rarest (`least`) and the most
        frequent class (`most`), and digests of all `labels` and of 256 KiB of the `inputs`, evenly spaced.
    """
    found = {}
    for name, part in data.splits.items():
        counts = [count for count in part.y.bincount().tolist() if count]
        inputs = data.fingerprint_inputs(part)
        size = inputs[:1].numel() * inputs.element_size()
        found[name] = {
            "examples": len(part),
            "classes": len(counts),
            "least": min(counts, default=0),
            "most": max(counts, default=0),
            "labels": tensor_digest(part.y),
            "inputs": tensor_digest(inputs[:: max(1, -(-len(inputs) * size // SAMPLE))]),
        }
    return found


def tensor_digest(values: Tensor) -> str:
    """Return a digest of type, shape and bytes of a tensor."""
    plain = values.cpu().contiguous()
    found = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())
    found.update(plain.numpy().data)
    return found.hexdigest()[:16]


def example_digests(images: Tensor | ImageFiles) -> list[bytes]:
    """Return a digest of each image, or of its file if the images are not in memory."""
    if isinstance(images, ImageFiles):
        return [digest.tobytes() for digest in images.digests]
    return [hashlib.blake2b(row, digest_size=DIGEST_SIZE).digest() for row in images.contiguous().flatten(1).numpy()]


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

    def compute() -> NDArray[np.uint8]:
        with ThreadPoolExecutor() as pool:
            found = b"".join(pool.map(file_digest, paths))
        return np.frombuffer(found, np.uint8).reshape(-1, DIGEST_SIZE)

    return cached_array(cache / f"{key.hexdigest()}.digests.npy", compute, keep=lambda found: bool(found.any(1).all()))


def file_digest(path: Path) -> bytes:
    """Return the digest of a file's content."""
    hashed = hashlib.blake2b(digest_size=DIGEST_SIZE)
    try:
        check_regular(path)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
    except OSError:  # reported when the file is decoded
        return UNREADABLE
    return hashed.digest()
