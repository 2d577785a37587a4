"""The TensorBoard writer of a run, if it has one."""

from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger


def tensorboard_writer(trainer: L.Trainer) -> Any | None:
    """Return torch's SummaryWriter of the run's TensorBoard logger, on the process that writes; else `None`."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)
