"""The log of a run in the processes that training starts."""

import logging
from pathlib import Path
from typing import Any

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.logs import close_log, open_log


class RunLog(L.Callback):
    """Opens the run's log in each process that a strategy spawns, where it arrives by pickling before anything else.

    Args:
        path: of `run.log`.
    """

    handlers: list[logging.Handler] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Log to the screen in the first process only; lines of others would break its display."""
        if self.handlers and not trainer.is_global_zero:
            close_log(self.handlers)
            self.handlers = open_log(self.path, first=False)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave; the log is open."""
        leave(trainer, self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.handlers = open_log(self.path)
