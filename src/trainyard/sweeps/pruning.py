"""Stops a trial that does worse than others of its sweep did at the same epoch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L

from trainyard.callbacks.lifecycle import remove_callback
from trainyard.callbacks.run_length import planned_epochs

if TYPE_CHECKING:
    from trainyard.sweeps.pruners import JobPruner


class Pruning(L.Callback):
    """Reports each epoch's score to the journal of the sweep, and stops training if its pruner decides so.

    Jobs that run at the same time, on other machines too, report to the same journal.

    Attributes:
        pruned: whether training was stopped.

    Args:
        folder: directory of the job; the journal is beside it.
        objective: the metric that is reported.
        pruner: `median` or `hyperband`.
    """

    state_key = "Pruning"

    def __init__(self, folder: Path, objective: str, pruner: str) -> None:
        self.folder = folder
        self.objective = objective
        self.pruner = pruner
        self.pruned = False
        self.rungs: dict[str, float] = {}  # that Hyperband has set
        self.job_pruner: JobPruner | None = None
        self.score: float | None = None  # of this epoch

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the trial of this job; a job without one is not pruned."""
        if trainer.is_global_zero:
            self.find_job_pruner(planned_epochs(trainer) or 0)  # the config check requires a known length
        if not trainer.strategy.broadcast(self.job_pruner is not None):
            remove_callback(trainer, self)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.score = float(trainer.callback_metrics[self.objective])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the score of an epoch that was validated; rank 0 decides."""
        if trainer.is_global_zero and self.score is not None:
            self.pruned = self.ask(self.score, trainer.current_epoch + 1, planned_epochs(trainer) or 0)
        self.score = None
        self.pruned = trainer.strategy.broadcast(self.pruned)
        trainer.should_stop = trainer.should_stop or self.pruned

    def find_job_pruner(self, max_epochs: int) -> None:
        """Open the journal of the sweep, if the run is one of its jobs."""
        from trainyard.sweeps.pruners import JobPruner

        self.job_pruner = JobPruner.find(self.folder, self.pruner, max_epochs)

    def ask(self, score: float, epoch: int, max_epochs: int) -> bool:
        """Report an epoch, and return whether it is to be the last."""
        if self.job_pruner is None:
            return False
        pruned, self.rungs = self.job_pruner.report(epoch, score, self.rungs)
        return epoch != max_epochs and pruned

    def state_dict(self) -> dict[str, Any]:
        return {"pruned": self.pruned, "rungs": dict(self.rungs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pruned, self.rungs = state_dict["pruned"], state_dict.get("rungs", {})
