"""A running average of the weights."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn


class WeightAverage(EMAWeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights (Polyak and Juditsky 1992).

    Lightning's, but for one thing: what is tested is the average that a checkpoint holds, not the weights that
    training would go on from. And in the middle of a validation, when the two have changed places, a checkpoint has
    them in the right ones.
    """

    swapped = False

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        super()._swap_models(pl_module)
        self.swapped = not self.swapped

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the average, and have both where they belong; a run that saves in a validation is about to leave it."""
        if self.swapped:
            self._swap_models(pl_module)
        super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up both, the average and the weights, to go on with training only."""
        if trainer.state.fn is TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
