"""An exponential moving average of the weights."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor


class WeightAverage(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights (Polyak and Juditsky 1992).

    Lightning's `EMAWeightAveraging` does not test the average of a loaded checkpoint, and saves the wrong weights
    during a validation, when average and weights are swapped.

    Args:
        decay: weight of the previous average in each step, from 0 to 1.
    """

    swapped = False

    def __init__(self, decay: float) -> None:
        super().__init__(device=None, avg_fn=average_floats(decay))

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        self.swapped = True

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)
        self.swapped = False

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the average. A run that saves during a validation is about to exit, so swap the weights back first."""
        if self.swapped:
            self.on_validation_epoch_end(trainer, pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn is TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def average_floats(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return a function of the previous average, the value and the number of steps that returns the new average.

    Integers and truth values, such as the positions of columns, are not averaged, and constants, such as the mean of
    the data, do not change: rounding would change both.
    """

    def update(previous: Tensor, value: Tensor, steps: Tensor | int) -> Tensor:
        inexact = value.is_floating_point() or value.is_complex()
        return torch.lerp(previous, value, 1 - decay) if inexact else value

    return update
