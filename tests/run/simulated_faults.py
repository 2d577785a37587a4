"""Callbacks that remove a file or set the clock while a run trains."""

import datetime
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import pytest

SMALL = ("model.hidden_dims=[8]", "data.train_fraction=0.2", "callbacks=none")


def remove(path: Path) -> str:
    """Return an override for a run that loses a file or folder before its second epoch."""
    return f"+callbacks.remove={{_target_:{__name__}.Remove,path:{path}}}"


class Remove(L.Callback):
    """Removes a file or folder before the second epoch."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            for logger in trainer.loggers:
                logger.save()
            shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink()


class SetClock(L.Callback):
    """Sets the clock before the second epoch, by a number of seconds."""

    def __init__(self, by: float) -> None:
        self.by = by

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            offset[0] = self.by


offset = [0.0]


@contextmanager
def settable_clock() -> Iterator[None]:
    """Let `SetClock` set the clock of this process."""
    original = time.time
    with pytest.MonkeyPatch.context() as patch:
        offset[0] = 0.0
        patch.setattr(time, "time", lambda: original() + offset[0])

        class Set(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> "Set":
                return cls.fromtimestamp(time.time(), tz)

        patch.setattr(datetime, "datetime", Set)
        yield
