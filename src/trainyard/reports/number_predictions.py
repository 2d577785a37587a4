"""Predicted numbers of a split, and their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard.data.loading.target_statistics import name_number_scores, number_scores, weighted_number_scores
from trainyard.history.saved_predictions import save_arrays
from trainyard.reports.bootstrap import bootstrap_interval

MAX_CAPTION = 3  # numbers in the title of an image


@dataclass(frozen=True)
class NumberPredictions:
    """Predicted and true numbers of a split, in the units of the data."""

    numbers: Tensor  # predicted, float32 [N, T]
    targets: Tensor  # float32 [N, T]
    names: tuple[str, ...]  # of the T numbers

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def errors(self) -> Tensor:
        """Predicted minus true numbers, float64 `[N, T]`."""
        return self.numbers.double() - self.targets.double()

    @property
    def scores(self) -> dict[str, float]:
        """Scores with the names of `Regression.scores`, without the loss, whose units are others."""
        return number_scores(self.numbers.double(), self.targets, self.names)

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % confidence interval of each of the `scores`, see `bootstrap_interval`."""
        resampled = partial(weighted_number_scores, self.errors, self.targets.double())
        bounds = bootstrap_interval(resampled, len(self), width=len(self.names))
        low, high = (name_number_scores(column, self.names) for column in bounds.T)
        return {name: (low[name], high[name]) for name in low}

    def baseline(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores of the mean that the baseline of a run contains; empty if it has none."""
        mean = stored.get("mean")
        if not isinstance(mean, list) or len(mean) != len(self.names) or not all(map(is_number, mean)):
            return {}
        scores = number_scores(torch.tensor(mean, dtype=torch.float64), self.targets, self.names)
        return {"mean": mean, **{f"test/{name}": value for name, value in scores.items()}}

    def worst(self, most: int = 16) -> list[int]:
        """Return the positions of the largest absolute errors, in descending order.

        With several numbers, it is the largest error of an example in units of the standard deviation of each number.
        """
        errors = self.errors.abs()
        if len(self.names) > 1:
            errors = errors / self.targets.double().std(dim=0, correction=0).clamp(min=1e-12)
        return errors.amax(dim=1).argsort(descending=True, stable=True)[:most].tolist()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the cells that `describe` returns."""
        parts = ("predicted", "true", "error")
        return parts if len(self.names) == 1 else tuple(f"{name} {part}" for name in self.names for part in parts)

    def describe(self, position: int) -> tuple[str, ...]:
        """Return predicted and true number and error of an example, for each of the T numbers."""
        rows = zip(self.numbers[position].tolist(), self.targets[position].tolist(), strict=True)
        return tuple(cell for predicted, true in rows for cell in describe_number(predicted, true))

    def caption(self, position: int) -> str:
        """Return the title of the image of an example, a few lines."""
        cells = self.describe(position)[: 3 * MAX_CAPTION]
        return "\n".join(f"{cells[place]}, is {cells[place + 1]}" for place in range(0, len(cells), 3))

    def save(self, path: Path) -> None:
        """Write `predictions`, `targets` and `names` as a NumPy archive, atomically."""
        save_arrays(path, predictions=self.numbers, targets=self.targets, names=self.names)


def describe_number(predicted: float, true: float) -> tuple[str, str, str]:
    """Return predicted and true number, and the error."""
    return f"{predicted:.5g}", f"{true:.5g}", f"{predicted - true:+.3g}"


def is_number(value: object) -> bool:
    """Return whether a stored value is a number."""
    return isinstance(value, int | float)
