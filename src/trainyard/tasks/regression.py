"""Regression: one or several numbers for each example."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trainyard.data.loading.target import Numbers
from trainyard.tasks.task import Task


class Regression(Task):
    """The task of predicting numbers; the outputs are standardised numbers `[B, T]`, the targets in their own units.

    Args:
        target: names, statistics and transformation of the numbers.
    """

    target: Numbers
    objective = "rmse"
    modes = {"rmse": "min", "mae": "min", "r2": "max", "loss": "min"}  # noqa: RUF012
    metric_domain = "regression"
    losses = ("mse", "mae", "huber", "quantile")
    mean: Tensor
    std: Tensor

    def __init__(self, target: Numbers) -> None:
        super().__init__(target)
        self.register_buffer("mean", torch.tensor(target.mean), persistent=False)  # the target contains them
        self.register_buffer("std", torch.tensor(target.std), persistent=False)

    def describe(self) -> str:
        """Return the number of numbers in words."""
        return "a number" if self.output_size == 1 else f"{self.output_size} numbers"

    def metric_modes(self) -> dict[str, str | None]:
        """Return the mode of each metric, also of those of each number."""
        own = {f"{name}_{part}": mode for name, mode in self.modes.items() if name != "loss" for part in self.parts}
        return {**super().metric_modes(), **own}

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of several numbers, each of which has scores of its own."""
        return self.target.names if self.output_size > 1 else ()

    def loss_targets(self, targets: Tensor) -> Tensor:
        """Return standardised targets, as the network predicts them, `[B, T]`."""
        values = targets.log() if self.target.transform == "log" else targets
        return (values - self.mean) / self.std

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the predicted numbers in the units of the data, `[B, T]`."""
        values = outputs * self.std + self.mean
        return values.exp() if self.target.transform == "log" else values

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sums of squared errors, absolute errors, targets and squared targets of each number, `[4 T]`.

        The targets are shifted by the training mean, so that float32 is precise enough.
        """
        errors = self.predictions(outputs) - targets
        center = self.predictions(torch.zeros_like(self.mean))
        shifted = targets - center
        return torch.stack([errors.square(), errors.abs(), shifted, shifted.square()]).sum(dim=1).flatten()

    def scores(self, loss: float, totals: Sequence[float], examples: float) -> dict[str, float]:
        """Return root mean squared error, mean absolute error and R² (means over the numbers) and the mean loss.

        With several numbers, the scores of each are named `rmse_NAME`.
        """
        count = self.output_size
        squares, absolutes, sums, sums_of_squares = (totals[place * count : (place + 1) * count] for place in range(4))
        own = {}
        for place, name in enumerate(self.target.names):
            variance = sums_of_squares[place] / examples - (sums[place] / examples) ** 2
            mse = squares[place] / examples
            r2 = 1 - mse / variance if variance > 0 else 0.0
            own[name] = {"rmse": mse**0.5, "mae": absolutes[place] / examples, "r2": r2}
        scores = {metric: sum(each[metric] for each in own.values()) / count for metric in ("rmse", "mae", "r2")}
        if count > 1:
            scores |= {f"{metric}_{name}": value for name, each in own.items() for metric, value in each.items()}
        return {**scores, "loss": loss / examples}

    def example_targets(self, count: int) -> Tensor:
        """Return made-up numbers, float32 `[count, T]`."""
        return self.predictions(torch.linspace(-1, 1, count)[:, None].expand(count, self.output_size))

    def metric_arguments(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of numbers."""
        return {"num_outputs": self.output_size}

    def metric_inputs(self, metric: Metric, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted and true numbers, `[N]` if there is one for each example."""
        return (predictions[:, 0], targets[:, 0]) if self.output_size == 1 else (predictions, targets)
