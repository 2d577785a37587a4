"""Sets the progress counters of a Trainer, which its checkpoints contain."""

from typing import Any

import lightning as L

from trainyard.run.epoch_loop import EpochLoop


def set_counters(trainer: L.Trainer, epochs: int, batches: int, batch: int, val_batches: int) -> None:
    """Set the counters of a trainer as if it had trained itself.

    Args:
        trainer: in the middle of a fit.
        epochs: number of epochs that have started.
        batches: number of batches of an epoch.
        batch: number of finished batches in the current epoch.
        val_batches: number of batches of the last validation.
    """
    loop = trainer.fit_loop.epoch_loop
    total = (epochs - 1) * batches + batch
    assert isinstance(loop, EpochLoop)
    loop.batches_that_stepped = total
    loop.pending_update = "epoch" if batch == batches else "step"
    optimization = loop.automatic_optimization.optim_progress.optimizer
    for progress in (loop.batch_progress, loop.scheduler_progress, optimization.step, optimization.zero_grad):
        set_progress(progress, total, batch)
    loop.batch_progress.is_last_batch = batch == batches
    set_progress(loop.val_loop.batch_progress, val_batches, val_batches)
    loop.val_loop.batch_progress.is_last_batch = val_batches > 0
    validations = epochs if batch == batches else epochs - 1
    loop.val_loop.seen = {0: validations * val_batches} if validations else {}
    progress = trainer.fit_loop.epoch_progress
    set_progress(progress, epochs, epochs)
    for tracker in (progress.total, progress.current):
        tracker.completed = epochs - 1
        if batch < batches:
            tracker.processed = epochs - 1  # type: ignore[attr-defined]


def set_progress(progress: Any, total: int, current: int) -> None:
    """Set all counters of a progress, in total and in the current epoch."""
    for tracker, number in ((progress.total, total), (progress.current, current)):
        for name in vars(tracker):
            setattr(tracker, name, number)
