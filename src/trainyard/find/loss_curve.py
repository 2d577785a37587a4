"""The loss over a learning rate that rises with each step, and the rate that it suggests."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

WINDOW = 3.0  # steps: standard deviation of the bell that smooths the loss
LEAST_DROP = 0.1  # of the loss at the start; what falls less may be chance
LEAST_STEPS = 20


@dataclass(frozen=True)
class LossCurve:
    """A range test (Smith 2017, arXiv:1506.01186).

    Attributes:
        rates: of each step, rising by the same factor.
        losses: of each step's batch.
    """

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def smooth(self) -> Tensor:
        """The losses, each averaged with its neighbours on both sides: a mean of those before would lag behind."""
        losses = torch.tensor(self.losses, dtype=torch.float64)
        steps = torch.arange(len(losses), dtype=torch.float64)
        weights = torch.exp(-(((steps[:, None] - steps) / WINDOW) ** 2) / 2)
        return weights @ losses / weights.sum(1)

    @property
    def suggestion(self) -> int | None:
        """The step of the steepest fall over the logarithm of the rate, before the lowest loss; None if there is none.

        Lightning's own suggestion divides by the difference of the rates, not of their logarithms, and so prefers
        chance falls at tiny rates; and its loss lags behind by fifty steps.
        """
        if len(self.losses) < LEAST_STEPS:
            return None
        smooth = self.smooth
        lowest, start = int(smooth.argmin()), float(smooth[: LEAST_STEPS // 2].mean())
        if lowest < 2 or float(smooth[lowest]) > (1 - LEAST_DROP) * start:
            return None
        return int(torch.gradient(smooth[: lowest + 1])[0].argmin())
