"""Mean and standard deviation of the training examples, the same to the last bit however they are read."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainyard.data.image_files import ImageFiles
from trainyard.data.mapped_rows import MappedRows
from trainyard.data.spec import Column, Examples

CHUNK = 4096  # images counted at a time; bounds the memory


def statistics(train: Examples, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of images or column of rows, float64 `[C]` or `[F]`."""
    if len(train.shape) == 1:
        assert isinstance(train.x, Tensor)
        return row_statistics(train.x, columns)
    assert not isinstance(train.x, MappedRows)
    return image_statistics(train.x)


def image_statistics(images: Tensor | ImageFiles) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, float64 `[C]` in units of the full range.

    Both come from sums of whole numbers, which are exact.
    """
    sums = images.sums.sum(0) if isinstance(images, ImageFiles) else channel_sums(images)  # [C, 2]
    count, _, height, width = images.shape
    mean, square = (sums.double() / (count * height * width)).T
    return mean / 255, (square - mean.square()).clamp(min=0).sqrt() / 255


def constant_images(sums: Tensor, pixels: int) -> Tensor:
    """Return which images have a single value in each channel, bool `[N]`.

    Args:
        sums: of the values and of their squares, int64 `[N, C, 2]`.
        pixels: of an image; more than 1.
    """
    total, squares = sums.double().unbind(-1)
    # Of whole numbers that differ, `pixels * squares - total**2` is at least `pixels - 1`.
    return (pixels * squares - total.square() < pixels / 2).all(dim=1)


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
    """Return mean and standard deviation of each column, float64 `[F]`, missing values replaced by the median.

    A column that never changes gets the deviation 1; one of categories, whose codes are no quantities, 0 and 1.
    """
    medians = torch.tensor([column.median for column in columns], dtype=torch.float64)
    std, mean = torch.std_mean(torch.where(rows.isnan(), medians, rows.double()), dim=0, correction=0)
    categorical = torch.tensor([bool(column.levels) for column in columns])
    return torch.where(categorical, 0.0, mean), one_where_zero(torch.where(categorical, 0.0, std))


def one_where_zero(std: Tensor) -> Tensor:
    """Return the deviations with 1 for 0, by which one can divide."""
    return torch.where(std > 0, std, 1.0)
