"""Lightning's counters of how far a run is, which go into its checkpoints."""

from typing import Any

import lightning as L

from trainyard.run.loops import EpochLoop


def set_counters(trainer: L.Trainer, epochs: int, batches: int, batch: int, val_batches: int) -> None:
    """Have a trainer believe that it has trained so far itself.

    Args:
        trainer: that is fitting.
        epochs: begun so far, this one included.
        batches: of an epoch.
        batch: how many of this epoch are done.
        val_batches: of the last validation.
    """
    loop = trainer.fit_loop.epoch_loop
    total = (epochs - 1) * batches + batch
    assert isinstance(loop, EpochLoop)
    loop.logged_step = total
    optimization = loop.automatic_optimization.optim_progress.optimizer
    for progress in (loop.batch_progress, loop.scheduler_progress, optimization.step, optimization.zero_grad):
        count(progress, total, batch)
    loop.batch_progress.is_last_batch = batch == batches
    count(loop.val_loop.batch_progress, val_batches, val_batches)
    loop.val_loop.batch_progress.is_last_batch = val_batches > 0
    progress = trainer.fit_loop.epoch_progress
    count(progress, epochs, epochs)
    for tracker in (progress.total, progress.current):
        tracker.completed = epochs - 1
        if batch < batches:
            tracker.processed = epochs - 1  # type: ignore[attr-defined]


def count(progress: Any, total: int, current: int) -> None:
    """Set all that a progress counts, since the start and since the start of the epoch."""
    for tracker, number in ((progress.total, total), (progress.current, current)):
        for name in vars(tracker):
            setattr(tracker, name, number)
