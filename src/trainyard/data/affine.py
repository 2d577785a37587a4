"""Geometric changes of images, all in one resampling, drawn for each image of a batch apart."""

import torch
import torch.nn.functional as F
from torch import Tensor


class RandomAffine:
    """Flips, shifts, rotates, skews and scales; what moves in from outside is black.

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


class RandomFlip:
    """Mirrors some of the images left and right, without resampling.

    Args:
        probability: that an image is mirrored.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]`; returns the same type."""
        chosen = (torch.rand(len(images), generator=draws) < self.probability).to(images.device)
        return torch.where(chosen[:, None, None, None], images.flip(3), images)


class RandomCrop:
    """Moves images by whole pixels, as cutting them out of a black frame does, without resampling.

    Args:
        size: largest move in each direction, as a fraction of the side.
    """

    def __init__(self, size: float) -> None:
        self.size = size

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images `[B, C, H, W]`; returns the same type."""
        count, channels, height, width = images.shape
        frame = [round(self.size * height), round(self.size * width)]
        drawn = torch.rand(count, 2, generator=draws)
        top, left = (drawn * (2 * torch.tensor(frame) + 1)).long().to(images.device).unbind(1)
        padded = F.pad(images, (frame[1], frame[1], frame[0], frame[0]))
        rows = (top[:, None] + torch.arange(height, device=images.device))[:, None, :, None]
        columns = (left[:, None] + torch.arange(width, device=images.device))[:, None, None, :]
        place = rows * padded.shape[3] + columns  # [B, 1, H, W]
        return padded.flatten(2).gather(2, place.expand(-1, channels, -1, -1).flatten(2)).view_as(images)
