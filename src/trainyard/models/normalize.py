"""Normalisation as the first layer of a model, so that a checkpoint takes raw inputs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainyard.data.spec import DataSpec


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel or column.

    Args:
        mean, std: one number a channel (in units of the full range, 255) or column (in its own units).
        kind: `images` or `rows`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], kind: str) -> None:
        super().__init__()
        shape = (-1, 1, 1) if kind == "images" else (-1,)
        full_range = 255.0 if kind == "images" else 1.0
        mean_, std_ = torch.tensor(mean), torch.tensor(std)
        self.register_buffer("scale", (1 / (full_range * std_)).view(shape))
        self.register_buffer("shift", (-mean_ / std_).view(shape))

    @classmethod
    def of(cls, spec: DataSpec) -> "Normalize":
        """Return the normalisation by the training examples' own statistics."""
        return cls(spec.mean, spec.std, spec.kind)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images `[B, C, H, W]` (uint8, or float from 0 to 255) or rows `[B, F]`; returns float."""
        return torch.addcmul(self.shift, x.to(self.scale.dtype), self.scale)
