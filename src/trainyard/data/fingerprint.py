"""What tells two data sets apart, at the cost of a look."""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainyard.data.image_folder import ImageFolder, ids_of
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples

SAMPLE = 2**18  # bytes of the inputs of a split that are looked at


def fingerprint(data: DataModule) -> dict[str, dict[str, Any]]:
    """Return what each split consists of, the same whether it is resident or streamed.

    Returns:
        A dict a split: the number of its `examples`, of its `classes`, of the examples of the rarest (`least`) and of
        the most frequent of them (`most`), and digests of all `labels` and of the `inputs` at equal distances, 256 KiB
        of them. Of images in files, the digests of the files stand for what is in them.
    """
    found = {}
    for name, part in data.splits.items():
        counts = [count for count in part.y.bincount().tolist() if count]
        found[name] = {
            "examples": len(part),
            "classes": len(counts),
            "least": min(counts, default=0),
            "most": max(counts, default=0),
            "labels": digest(part.y),
            "inputs": digest(sample(inputs_of(data, part))),
        }
    return found


def inputs_of(data: DataModule, part: Examples) -> Tensor:
    """Return what is looked at: the inputs in memory, or the digests of their files, uint8 `[N, 16]`."""
    if isinstance(data, ImageFolder):
        digests = b"".join(data.digests[number] for number in ids_of(part))
        return torch.from_numpy(np.frombuffer(bytearray(digests), dtype=np.uint8).reshape(-1, 16))
    assert isinstance(part.x, Tensor), "rows and images are read whole; features come later"
    return part.x


def sample(inputs: Tensor) -> Tensor:
    """Return inputs at equal distances, 256 KiB of them at most, and one where one is larger."""
    size = inputs[:1].numel() * inputs.element_size()
    return inputs[:: max(1, -(-len(inputs) * size // SAMPLE))]


def digest(values: Tensor) -> str:
    """Return a digest of kind, shape and bytes of a tensor."""
    plain = values.cpu().contiguous()
    found = hashlib.sha256(f"{plain.dtype} {tuple(plain.shape)}".encode())  # processors have instructions for it
    found.update(plain.numpy().data)
    return found.hexdigest()[:16]
