"""The fit loop of a job whose epochs are trained by a stack."""

from collections.abc import Callable
from typing import Any

import lightning as L

from trainyard.data.loading.loader import ResidentLoader
from trainyard.run.loops import FitLoop


class StackedFitLoop(FitLoop):
    """Starts and ends a fit as Lightning does, and waits in between while the stack trains.

    A run whose data are not in memory trains alone instead.

    Args:
        trainer: the trainer whose loop is replaced.
        wait: called with the trainer when it is ready; returns when its model is trained.
    """

    def __init__(self, trainer: L.Trainer, wait: Callable[[L.Trainer], Any]) -> None:
        super().__init__(trainer)
        self.wait = wait

    def run(self) -> None:
        """Fit, with the epochs trained by the stack."""
        self.setup_data()
        if not isinstance(self.trainer.train_dataloader, ResidentLoader):
            super().run()
            return
        self.reset()
        self.on_run_start()
        self.wait(self.trainer)
        self.epoch_progress.increment_completed()
        self.on_run_end()
