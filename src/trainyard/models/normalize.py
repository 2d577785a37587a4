"""Normalisation as the first layer of a model, so that a checkpoint takes raw inputs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.statistics import one_where_zero
from trainyard.models.encode_columns import EncodeColumns


def input_layer(spec: DataSpec) -> nn.Module:
    """Return the layer that takes raw examples, by the training examples' own statistics."""
    if spec.kind == "rows":
        return EncodeColumns(spec.columns, spec.mean, spec.std)
    return Normalize(spec.mean, spec.std)


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel, by 1 where the deviation is 0.

    Args:
        mean, std: one number a channel, in units of the full range, 255.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        mean_, std_ = torch.tensor(mean), one_where_zero(torch.tensor(std))
        self.register_buffer("scale", (1 / (255 * std_)).view(-1, 1, 1))
        self.register_buffer("shift", (-mean_ / std_).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images `[B, C, H, W]`, uint8 or float from 0 to 255; returns float."""
        return (x * self.scale).add_(self.shift)
