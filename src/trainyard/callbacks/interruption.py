"""The end of training at the next step, when a signal asks for it."""

import logging
import os
import signal
import subprocess
from typing import Any

import lightning as L
import torch

from trainyard.callbacks.checkpoints import LastCheckpoint, between_steps
from trainyard.checkpoint_files import PacedCheckpointIO
from trainyard.signals import Signals

log = logging.getLogger(__name__)

VALIDATION = "epoch_loop.val_loop.batch_progress"


class Interruption(L.Callback):
    """Saves and leaves when a signal was caught, on whichever process; the run goes on from there bitwise.

    In a validation it leaves at once too, and the run goes on with that validation, from its first batch.

    Args:
        signals: that are caught.
        last: which saves.
    """

    def __init__(self, signals: Signals, last: LastCheckpoint) -> None:
        self.signals = signals
        self.last = last

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Have signals wait for the end of a step, now that there are steps."""
        self.signals.defer(True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop deferring signals; exit if one came in the last step, since the last epoch is saved."""
        self.signals.defer(False)
        if caught := self.caught(trainer):
            self.signals.leave(caught)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Write pending checkpoints, which a logger that fails too would lose; then stop deferring signals."""
        writer = trainer.strategy.checkpoint_io
        if isinstance(writer, PacedCheckpointIO):
            try:
                writer.flush()
            except OSError as error:
                log.warning("%s", error.strerror)
        self.signals.defer(False)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and leave, where the run can go on from here."""
        if (caught := self.caught(trainer)) and between_steps(trainer):
            self.save_and_leave(trainer, caught)

    def on_validation_batch_end(self, trainer: L.Trainer, *more: Any, **others: Any) -> None:
        """Save and leave, unless the validation lies between two batches whose gradients are added up."""
        between = not trainer.sanity_checking and not trainer.fit_loop.epoch_loop._should_accumulate()
        if between and (caught := self.caught(trainer)):
            self.save_and_leave(trainer, caught)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note, in the middle of a validation, that it has only begun: what it has counted so far is not kept."""
        progress = checkpoint["loops"]["fit_loop"][VALIDATION]
        if trainer.validating and progress["current"]["completed"] < progress["current"]["ready"]:
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

    def save_and_leave(self, trainer: L.Trainer, number: int) -> None:
        """Save, to the disk, and raise what ends the run."""
        self.last.save(trainer)
        writer = trainer.strategy.checkpoint_io
        if isinstance(writer, PacedCheckpointIO):
            writer.flush()
        if trainer.is_global_zero and number == getattr(signal, "SIGUSR1", None):
            queue_again()
        self.signals.leave(number)


def queue_again() -> None:
    """Have SLURM start the job again, in whose script `--signal=SIGUSR1@SECONDS` has asked for this signal."""
    if job := os.environ.get("SLURM_JOB_ID"):
        subprocess.run(["scontrol", "requeue", job], check=False)
