"""Random changes of training images, drawn for each image of a batch apart, computed for the batch at once."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.loader import Augment


class RandomAffine:
    """Flips, shifts, rotates, skews and scales in one resampling; what moves in from outside is black.

    Args:
        flip: probability of mirroring left and right.
        shift: largest move in each direction, as a fraction of the side.
        rotate: largest turn either way, in degrees.
        skew: largest horizontal shear either way, in degrees.
        scale: largest relative change of size either way; 0.1 gives 0.9 to 1.1 times.
    """

    def __init__(
        self, flip: float = 0.0, shift: float = 0.0, rotate: float = 0.0, skew: float = 0.0, scale: float = 0.0
    ) -> None:
        self.flip = flip
        self.limits = torch.tensor([2 * shift, 2 * shift, rotate * torch.pi / 180, skew * torch.pi / 180, scale])

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]`, uint8 or float; returns float32 in the same range."""
        count = len(images)
        mirrored = torch.where(torch.rand(count, generator=draws) < self.flip, -1.0, 1.0)
        shift_x, shift_y, turn, skew, scale = ((2 * torch.rand(count, 5, generator=draws) - 1) * self.limits).T
        cos, sin, tan, zoom = turn.cos(), turn.sin(), skew.tan(), 1 / (1 + scale)
        # Each row takes a point of the result to the point of the image that it shows.
        row_x = torch.stack([mirrored * zoom * cos, mirrored * zoom * (tan * cos - sin), shift_x], dim=1)
        row_y = torch.stack([zoom * sin, zoom * (tan * sin + cos), shift_y], dim=1)
        theta = torch.stack([row_x, row_y], dim=1).to(images.device)  # [B, 2, 3]
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images.float(), grid, align_corners=False)


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


class Chain:
    """Applies several changes, one after another."""

    def __init__(self, steps: Sequence[Augment]) -> None:
        self.steps = steps

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]`."""
        for step in self.steps:
            images = step(images, draws)
        return images
