"""Embeddings of numbers (Gorishniy et al. 2022, arXiv:2203.05556)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class PiecewiseLinearEmbedding(nn.Module):
    """Embeds each number of a row with its own continuous function, which is linear between quantiles.

    The vector of a number x is `bias + slope * x` plus, for each bin between quantiles, the share of the bin below x
    times a learned vector. These vectors start at zero, so that training starts with a linear function, as in TabM
    (Gorishniy et al. 2024, arXiv:2410.24210). Beyond the outer quantiles, the function has the slope `slope`.

    Args:
        edges: the increasing edges of the bins of each number; a constant number has one edge and no bin.
        width: size of the vector of each number.
    """

    def __init__(self, edges: Sequence[Sequence[float]], width: int) -> None:
        super().__init__()
        bins = max(1, *(len(points) - 1 for points in edges))
        starts = torch.zeros(len(edges), bins)
        scale = torch.zeros(len(edges), bins)  # a number with fewer bins has others that are always 0
        for order, points in enumerate(edges):
            for place, (start, end) in enumerate(pairwise(points)):
                starts[order, place], scale[order, place] = start, 1 / (end - start)
        self.starts, self.scale = nn.Buffer(starts), nn.Buffer(scale)
        self.slope = nn.Parameter(torch.empty(len(edges), width).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(len(edges), width).uniform_(-1, 1))
        self.weight = nn.Parameter(torch.zeros(len(edges), bins, width))

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers: `[B, F]` -> `[B, F, width]`."""
        shares = ((x.unsqueeze(2) - self.starts) * self.scale).clamp(0, 1)
        learned = torch.einsum("bfn,fnw->bfw", shares, self.weight)
        return self.bias + self.slope * x.unsqueeze(2) + learned
