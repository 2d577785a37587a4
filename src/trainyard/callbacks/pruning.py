"""The end of a trial that does worse than others of its sweep did at the same epoch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.run_length import planned_epochs

if TYPE_CHECKING:
    from trainyard.sweeps.pruners import JobPruner


class Pruning(L.Callback):
    """Reports each epoch's score to the journal of the sweep, and stops training where its pruner says so.

    Jobs that run at the same time, on other machines too, report to the same journal.

    Attributes:
        pruned: whether it has stopped training.

    Args:
        folder: of the job; the journal lies beside it.
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
        """Find the trial of this job; leave if it has none."""
        if trainer.is_global_zero:
            self.find_job_pruner(self.epochs(trainer))
        if not trainer.strategy.broadcast(self.job_pruner is not None):
            leave(trainer, self)

    @staticmethod
    def epochs(trainer: L.Trainer) -> int:
        """Return the number of epochs of the run, which is known: see `trainyard.run_length`."""
        epochs = planned_epochs(trainer)
        assert epochs is not None
        return epochs

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the score until the epoch ends."""
        if not trainer.sanity_checking:
            self.score = float(trainer.callback_metrics[self.objective])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the score of an epoch that was validated, and ask; the other processes follow the first."""
        if trainer.is_global_zero and self.score is not None:
            self.pruned = self.ask(self.score, trainer.current_epoch + 1, self.epochs(trainer))
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
        """Return the decision, and the rungs that later decisions depend on."""
        return {"pruned": self.pruned, "rungs": dict(self.rungs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the decision and the rungs."""
        self.pruned, self.rungs = state_dict["pruned"], state_dict.get("rungs", {})
