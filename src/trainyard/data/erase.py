"""Erased rectangles, drawn for each image of a batch apart."""

import torch
from torch import Tensor


class RandomErase:
    """Blacks out one rectangle in some of the images (Zhong et al. 2017, arXiv:1708.04896).

    Args:
        probability: that an image loses a rectangle.
        largest: of the rectangle's sides, as a fraction of the image's.
    """

    def __init__(self, probability: float, largest: float) -> None:
        self.probability = probability
        self.largest = largest

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]`; returns the same type and range."""
        count, _, height, width = images.shape
        drawn = torch.rand(count, 5, generator=draws).to(images.device)
        chosen = drawn[:, 0] < self.probability
        rows = span(height, drawn[:, 1] * self.largest, drawn[:, 2])  # [B, H]
        columns = span(width, drawn[:, 3] * self.largest, drawn[:, 4])  # [B, W]
        erased = chosen[:, None, None] & rows[:, :, None] & columns[:, None, :]
        return images.masked_fill(erased[:, None], 0)


def span(length: int, size: Tensor, place: Tensor) -> Tensor:
    """Return which of `length` positions lie in an interval of relative `size` and `place`, bool `[B, length]`."""
    start = place * (1 - size)
    position = (torch.arange(length, device=size.device) + 0.5) / length
    return (position >= start[:, None]) & (position < (start + size)[:, None])
