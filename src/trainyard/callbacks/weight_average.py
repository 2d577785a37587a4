"""A running average of the weights."""

from functools import partial
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor


class WeightAverage(WeightAveraging):
    """Validates, tests and keeps an exponential moving average of the weights (Polyak and Juditsky 1992).

    Lightning's `EMAWeightAveraging`, but for three things. What is tested is the average that a checkpoint holds, not
    the weights that training would go on from. In the middle of a validation, when the two have changed places, a
    checkpoint has them in the right ones. And it can be pickled, for processes that a strategy spawns.

    Args:
        decay: the share of the average that stays at each step, from 0 to 1.
    """

    swapped = False

    def __init__(self, decay: float) -> None:
        super().__init__(device=None, avg_fn=partial(moving_average, decay))

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


def moving_average(decay: float, average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
    """Return the average after one more step, as `torch.optim.swa_utils.get_ema_avg_fn` does."""
    return decay * average + (1 - decay) * current
