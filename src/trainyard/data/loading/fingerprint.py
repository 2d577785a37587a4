"""The fingerprint of a data set, and digests of its examples."""

import hashlib
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainyard.data.images.image_files import ImageFiles

if TYPE_CHECKING:  # it imports Lightning
    from trainyard.data.loading.datamodule import DataModule

SAMPLE = 2**18  # bytes of the inputs of a split that are hashed
DIGEST_SIZE = 16  # bytes


def fingerprint(data: "DataModule") -> dict[str, dict[str, Any]]:
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
