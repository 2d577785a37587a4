"""Statistics and digests of examples: mean and standard deviation of inputs, and the fingerprint of a data set."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.spec import Column, Examples, MappedRows
from trainyard.data.loading.target_statistics import count_targets

if TYPE_CHECKING:  # it imports Lightning
    from trainyard.data.loading.datamodule import DataModule

CHUNK = 4096  # images counted at a time; bounds the memory
FINGERPRINT_BYTES = 2**18  # of the inputs of a split that are hashed
DIGEST_SIZE = 16  # bytes


def mean_and_std(train: Examples, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of images or column of rows, float64 `[C]` or `[F]`."""
    if len(train.shape) == 1:
        assert isinstance(train.x, Tensor)
        return row_statistics(train.x, columns)
    assert not isinstance(train.x, MappedRows)
    return image_statistics(train.x)


def image_statistics(images: Tensor | ImageFiles) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, float64 `[C]` in units of the full range."""
    # Sums of integers are exact: the order of the images does not matter.
    sums = images.sums.sum(0) if isinstance(images, ImageFiles) else channel_sums(images)  # [C, 2]
    count, _, height, width = images.shape
    mean, square = (sums.double() / (count * height * width)).T
    return mean / 255, (square - mean.square()).clamp(min=0).sqrt() / 255


def channel_sums(images: Tensor) -> Tensor:
    """Return the sum of each channel's values and of their squares, uint8 `[N, C, H, W]` -> int64 `[C, 2]`."""
    values = torch.arange(256)
    powers = torch.stack([values, values.square()], dim=1)
    sums = torch.zeros(images.shape[1], 2, dtype=torch.int64)
    for part in images.split(CHUNK):
        for channel, pixels in enumerate(part.unbind(1)):
            sums[channel] += (pixels.flatten().bincount(minlength=256)[:, None] * powers).sum(0)
    return sums


def row_statistics(rows: Tensor, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column, float64 `[F]`, with missing values replaced by the median.

    A constant column has the deviation 1, a categorical one mean 0 and deviation 1.
    """
    medians = torch.tensor([column.median for column in columns], dtype=torch.float64)
    std, mean = torch.std_mean(torch.where(rows.isnan(), medians, rows.double()), dim=0, correction=0)
    categorical = torch.tensor([bool(column.levels) for column in columns])
    return torch.where(categorical, 0.0, mean), one_where_zero(torch.where(categorical, 0.0, std))


def one_where_zero(std: Tensor) -> Tensor:
    """Return the deviations with 0 replaced by 1, as divisors."""
    return torch.where(std > 0, std, 1.0)


def fingerprint(data: "DataModule") -> dict[str, dict[str, Any]]:
    """Return counts and digests of each split, which reveal changes; the same for resident and streamed data.

    For the counts see `count_targets`. The digests are of all labels or numbers to be predicted, and of 256 KiB of the
    inputs, evenly spaced.
    """
    splits = {}
    for name, part in data.splits.items():
        inputs = data.fingerprint_inputs(part)
        size = inputs[:1].numel() * inputs.element_size()
        splits[name] = {
            "examples": len(part),
            **count_targets(part.y, data.target),
            "labels": tensor_digest(part.y),
            "inputs": tensor_digest(inputs[:: max(1, -(-len(inputs) * size // FINGERPRINT_BYTES))]),
        }
    return splits


def tensor_digest(values: Tensor) -> str:
    """Return a digest of type, shape and bytes of a tensor."""
    values = values.cpu().contiguous()
    digest = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}".encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()[:16]


def example_digests(images: Tensor | ImageFiles) -> list[bytes]:
    """Return a digest of each image, or of its file if the images are not in memory."""
    if isinstance(images, ImageFiles):
        return [digest.tobytes() for digest in images.digests]
    return [hashlib.blake2b(row, digest_size=DIGEST_SIZE).digest() for row in images.contiguous().flatten(1).numpy()]
