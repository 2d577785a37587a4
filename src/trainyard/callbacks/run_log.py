"""The log of a run in the processes that training starts."""

from pathlib import Path
from typing import Any

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.logs import open_log


class RunLog(L.Callback):
    """Opens the run's log in each process that a strategy spawns, where it arrives by pickling before anything else.

    Args:
        path: of `run.log`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave; the log is open."""
        leave(trainer, self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        open_log(self.path)
