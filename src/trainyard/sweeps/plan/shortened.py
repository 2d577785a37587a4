"""A job as a trial: a few batches of an epoch."""

from collections.abc import Sized
from typing import Any

import lightning as L

BATCHES = {"fit": {"train": 32, "val": 4}, "test": {"test": 4}}  # of an epoch; an evaluated one holds four of training


class Shortened(L.Callback):
    """Cuts the epochs of a run, and knows what they would have been.

    The config stays that of the job, since schedules and plans of finetuning follow from it: the limits are set where
    Lightning looks for them. Each epoch is validated, once.
    """

    def __init__(self) -> None:
        self.limits: dict[str, int | float] = {}
        self.interval: int | float = 1.0
        self.every = 1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the limits, before Lightning counts the batches."""
        for name, most in BATCHES[stage].items():
            self.limits[name] = limit = getattr(trainer, f"limit_{name}_batches")
            setattr(trainer, f"limit_{name}_batches", min(limit, most) if isinstance(limit, int) else most)
        if stage == "fit":
            self.interval, trainer.val_check_interval = trainer.val_check_interval, 1.0
            self.every, trainer.check_val_every_n_epoch = trainer.check_val_every_n_epoch or 1, 1
            trainer.fit_loop.min_epochs = 0
            trainer.fit_loop.epoch_loop.min_steps = None

    def batches(self, name: str, loader: Any) -> int:
        """Return how many batches of a loader the job itself takes."""
        assert isinstance(loader, Sized)
        limit = self.limits[name]
        return min(len(loader), limit) if isinstance(limit, int) else int(len(loader) * limit)

    def validations(self, steps: int) -> float:
        """Return how often the job itself validates in an epoch of so many steps."""
        return (steps / self.interval if isinstance(self.interval, int) else 1 / self.interval) / self.every
