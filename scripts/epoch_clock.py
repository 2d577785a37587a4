"""When the epochs of a Lightning run start and end."""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import lightning as L


class Clock(L.Callback):
    """Notes when each epoch starts, and when the last one ends."""

    times: list[float] = []  # noqa: RUF012  of the class: a run is built from its config, out of reach

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the time."""
        self.on_train_epoch_start(trainer, pl_module)


@contextlib.contextmanager
def timed_epochs() -> Iterator[list[float]]:
    """Yield a list that holds the seconds of each epoch afterwards; what is printed meanwhile goes nowhere."""
    Clock.times.clear()
    seconds: list[float] = []
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield seconds
    seconds += [end - start for start, end in itertools.pairwise(Clock.times)]
