"""Saves and stops training after a signal."""

import logging
import os
import signal
import subprocess
from typing import Any

import lightning as L
import torch

from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
from trainyard.callbacks.checkpoints import LastCheckpoint, is_between_steps
from trainyard.io.signals import Signals

log = logging.getLogger(__name__)

VALIDATION = "epoch_loop.val_loop.batch_progress"


class GracefulStop(L.Callback):
    """Saves and exits after the current batch if any process has caught a signal; the run can be resumed exactly.

    A validation that is interrupted is repeated from its first batch. With training loaders that cannot resume inside
    an epoch, the run exits without saving: the unfinished epoch is lost.
    """

    def __init__(self, signals: Signals, last: LastCheckpoint) -> None:
        self.signals = signals
        self.last = last

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.signals.defer(True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop deferring signals; exit if one was caught in the last step, whose epoch is saved."""
        self.signals.defer(False)
        if caught := self.caught(trainer):
            self.signals.leave(caught)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Write pending checkpoints before a logger can fail, and stop deferring signals."""
        try:
            write_pending(trainer)
        except OSError as error:
            log.warning("%s", error.strerror)
        self.signals.defer(False)

    def on_step_end(self, trainer: L.Trainer) -> None:
        """Save and exit if a run can resume after this batch, or exit if it can resume after no batch."""
        loop: Any = trainer.fit_loop.epoch_loop
        if (caught := self.caught(trainer)) and (loop.obstacle or is_between_steps(trainer)):
            self.save_and_exit(trainer, caught)

    def on_validation_batch_end(self, trainer: L.Trainer, *more: Any, **others: Any) -> None:
        loop: Any = trainer.fit_loop.epoch_loop
        interruptible = not trainer.sanity_checking and not loop.is_accumulating
        if interruptible and (caught := self.caught(trainer)):
            self.save_and_exit(trainer, caught)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Reset the counters of an unfinished validation to its start, since its metrics are not saved."""
        progress = checkpoint["loops"]["fit_loop"][VALIDATION]
        loop: Any = trainer.fit_loop.epoch_loop
        if loop.val_loop.is_interrupted:
            before = progress["total"]["ready"] - progress["current"]["ready"]
            for name, done in (("total", before), ("current", 0)):
                progress[name] |= {"ready": done + 1, "started": done + 1, "processed": done, "completed": done}

    def caught(self, trainer: L.Trainer) -> int:
        """Return the signal that any process has caught, 0 for none."""
        number = self.signals.caught or 0
        if trainer.world_size == 1:
            return number
        mine = torch.tensor([number, trainer.should_stop], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(mine, torch.distributed.ReduceOp.MAX)
        number, stop = mine.tolist()
        trainer.should_stop = bool(stop)  # a callback may have requested it on one process only
        return int(number)

    def save_and_exit(self, trainer: L.Trainer, number: int) -> None:
        """Save to disk, requeue a SLURM job, and raise the exception that ends the run."""
        loop: Any = trainer.fit_loop.epoch_loop
        if loop.obstacle is None:
            self.last.save(trainer)
        else:
            log.info("not saved: epoch %d, because %s", trainer.current_epoch + 1, loop.obstacle)
        write_pending(trainer)
        if trainer.is_global_zero and number == getattr(signal, "SIGUSR1", None):
            requeue()
        self.signals.leave(number)


def write_pending(trainer: L.Trainer) -> None:
    """Write pending checkpoints to disk."""
    writer = trainer.strategy.checkpoint_io
    if isinstance(writer, PacedCheckpointIO):
        writer.flush()


def requeue() -> None:
    """Requeue a SLURM job; its script requests SIGUSR1 by `--signal=SIGUSR1@SECONDS`."""
    if job := os.environ.get("SLURM_JOB_ID"):
        subprocess.run(["scontrol", "requeue", job], check=False)
