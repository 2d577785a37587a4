"""Confidence intervals of scores, by resampling the examples."""

from collections.abc import Callable

import torch
from torch import Tensor

RESAMPLES = 1000
CELLS = 2 * 10**8  # numbers computed for all resamples, a few seconds; of larger splits, fewer resamples are drawn
LEAST = 100  # resamples


def bootstrap_interval(scores: Callable[[Tensor], Tensor], examples: int, width: int) -> Tensor:
    """Return the 95 % percentile intervals of scores (Efron 1979), float64 `[M, 2]`: lower and upper bounds.

    They include the variation over test examples of the same kind, not that over trainings, nor over training examples.
    Each resample draws as many examples as there are, with replacement.

    Args:
        scores: called with the number of times that each example was drawn, float64 `[N]`; returns `[M]`. NaN is left
            out.
        examples: their number N.
        width: numbers that are computed for each example.
    """
    draws = torch.Generator().manual_seed(0)
    count = max(LEAST, min(RESAMPLES, CELLS // (examples * width)))
    resampled = []
    for _ in range(count):
        positions = torch.randint(examples, (examples,), generator=draws)
        resampled.append(scores(positions.bincount(minlength=examples).double()))
    return torch.stack(resampled).nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0).T
