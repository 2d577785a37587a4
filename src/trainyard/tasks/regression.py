"""Regression: one or several numbers for each example."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.target import Numbers
from trainyard.tasks.task import Loss


class Regression(nn.Module):
    """The task of predicting numbers; the outputs are standardised numbers `[B, T]`, the targets in their own units.

    Args:
        target: names, statistics and transformation of the numbers.
        loss: of the standardised outputs and targets `[B, T]`, for each example or number; the squared error by
            default.
    """

    mean: Tensor
    std: Tensor
    metrics = {"rmse": "min", "mae": "min", "r2": "max", "loss": "min"}  # noqa: RUF012

    def __init__(self, target: Numbers, loss: Loss | None = None) -> None:
        super().__init__()
        self.names = target.names
        self.output_size = len(target.names)
        self.transform = target.transform
        self.loss_function = loss or squared_error
        self.register_buffer("mean", torch.tensor(target.mean), persistent=False)  # the target contains them
        self.register_buffer("std", torch.tensor(target.std), persistent=False)

    def standardize(self, targets: Tensor) -> Tensor:
        """Return targets as the network predicts them, `[B, T]`."""
        values = targets.log() if self.transform == "log" else targets
        return (values - self.mean) / self.std

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the predicted numbers in the units of the data, `[B, T]`."""
        values = outputs * self.std + self.mean
        return values.exp() if self.transform == "log" else values

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return the predicted numbers."""
        return predictions

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the summed loss of the standardised numbers, averaged over the numbers of an example."""
        losses = self.loss_function(outputs, self.standardize(targets))
        return losses.sum() / losses[0].numel() if len(losses) else losses.sum()

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sums of squared errors, absolute errors, targets and squared targets of each number, `[4 T]`.

        The targets are shifted by the training mean, so that float32 is precise enough.
        """
        errors = self.predictions(outputs) - targets
        center = self.predictions(torch.zeros_like(self.mean))
        shifted = targets - center
        return torch.stack([errors.square(), errors.abs(), shifted, shifted.square()]).sum(dim=1).flatten()

    def scores(self, loss: float, totals: list[float], examples: float) -> dict[str, float]:
        """Return root mean squared error, mean absolute error and R² (means over the numbers) and the mean loss.

        With several numbers, the scores of each are named `rmse_NAME`.
        """
        count = self.output_size
        squares, absolutes, sums, sums_of_squares = (totals[place * count : (place + 1) * count] for place in range(4))
        own = {}
        for place, name in enumerate(self.names):
            variance = sums_of_squares[place] / examples - (sums[place] / examples) ** 2
            mse = squares[place] / examples
            r2 = 1 - mse / variance if variance > 0 else 0.0
            own[name] = {"rmse": mse**0.5, "mae": absolutes[place] / examples, "r2": r2}
        scores = {metric: sum(each[metric] for each in own.values()) / count for metric in ("rmse", "mae", "r2")}
        if count > 1:
            scores |= {f"{metric}_{name}": value for name, each in own.items() for metric, value in each.items()}
        return {**scores, "loss": loss / examples}


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each number."""
    return F.mse_loss(outputs, targets, reduction="none")
