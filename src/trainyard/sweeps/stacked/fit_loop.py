"""Lightning's fit loop, where the epochs are another's work."""

from collections.abc import Callable
from typing import Any

import lightning as L

from trainyard.data.loading.loader import ResidentLoader
from trainyard.run.loops import FitLoop


class StackedFitLoop(FitLoop):
    """Begins and ends a fit as Lightning's does, and waits in between while a stack trains.

    A run whose data turn out not to lie on the device trains by itself, in its turn.

    Args:
        trainer: whose loop it is.
        wait: called with the trainer when it is ready; returns when the model is trained.
    """

    def __init__(self, trainer: L.Trainer, wait: Callable[[L.Trainer], Any]) -> None:
        super().__init__(trainer)
        self.wait = wait

    def run(self) -> None:
        """Begin, wait, and end."""
        self.setup_data()
        if not isinstance(self.trainer.train_dataloader, ResidentLoader):
            super().run()
            return
        self.reset()
        self.on_run_start()
        self.wait(self.trainer)
        self.epoch_progress.increment_completed()
        self.on_run_end()
