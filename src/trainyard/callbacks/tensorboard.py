"""The TensorBoard writer of a run, and how much time may be spent on figures."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

log = logging.getLogger(__name__)


def tensorboard_writer(trainer: L.Trainer) -> Any | None:
    """Return torch's SummaryWriter of the run's TensorBoard logger on rank 0, else `None`."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def purge_events(trainer: L.Trainer, step: int) -> None:
    """Make TensorBoard drop all points from an optimizer step on, because a resumed run logs them again.

    This is what `SummaryWriter(purge_step=step)` writes, but a logger is built before the step is known. TensorBoard
    reads event files in the order of their names, which start with the second of their creation: an earlier file of
    the same second has to be avoided.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            while any(Path(logger.log_dir).glob(f"events.out.tfevents.{int(time.time()):010}.*")):
                time.sleep(0.02)
            marker = Event(step=step, session_log=SessionLog(status=SessionLog.START))
            logger.experiment.file_writer.add_event(marker)


class DrawingBudget(L.Callback):
    """Limits the time for figures and histograms to a share of the run's time; the log counts those left out.

    Without this callback in the config, everything is drawn.

    Args:
        share: of the time since the run started, for all figures together.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.started = time.monotonic()
        self.spent = 0.0
        self.left_out = 0

    def allows(self, seconds: float, part: float = 1.0) -> bool:
        """Whether there is time for something that takes this many seconds, within a part of the budget."""
        return self.spent + seconds <= part * self.share * (time.monotonic() - self.started)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time spent in this context."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - started

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "test" and self.left_out and trainer.is_global_zero:
            text = (
                "figures    %d left out: they would take more than %.2g %% of the run (draw them: callbacks=pictures)"
            )
            log.info(text, self.left_out, 100 * self.share)


def drawing_budget(trainer: L.Trainer) -> DrawingBudget:
    """Return the budget of a run, an infinite one if it has none."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(
        (callback for callback in callbacks if isinstance(callback, DrawingBudget)), DrawingBudget(float("inf"))
    )
