"""What can happen to a run from outside, as callbacks."""

import datetime
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import pytest

SMALL = ("model.hidden_dims=[8]", "data.train_fraction=0.2", "callbacks=none")


class Removed(L.Callback):
    """A file or folder goes away before the second epoch."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            for logger in trainer.loggers:
                logger.save()
            shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink()


class ClockSet(L.Callback):
    """The clock is set before the second epoch.

    Args:
        by: seconds; below 0 for the past.
    """

    def __init__(self, by: float) -> None:
        self.by = by

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            offset[0] = self.by


offset = [0.0]


@contextmanager
def settable_clock() -> Iterator[None]:
    """Let `ClockSet` set the clock of this process."""
    true = time.time
    with pytest.MonkeyPatch.context() as patch:
        offset[0] = 0.0
        patch.setattr(time, "time", lambda: true() + offset[0])

        class Set(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> "Set":
                return cls.fromtimestamp(time.time(), tz)

        patch.setattr(datetime, "datetime", Set)
        yield
