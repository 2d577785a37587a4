"""An exponential moving average of the weights."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim.swa_utils import get_ema_avg_fn


class WeightAverage(WeightAveraging):
    """Validates, tests and saves an exponential moving average of the weights (Polyak and Juditsky 1992).

    Lightning's `EMAWeightAveraging` does not test the average of a loaded checkpoint, and saves the wrong weights
    during a validation, when average and weights are swapped.

    Args:
        decay: weight of the previous average in each step, from 0 to 1.
    """

    swapped = False

    def __init__(self, decay: float) -> None:
        super().__init__(device=None, avg_fn=get_ema_avg_fn(decay))

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
