"""Stops a trial that does worse than others of its sweep did at the same epoch."""

from pathlib import Path
from typing import Any

import lightning as L

from trainyard.callbacks.lifecycle import remove_callback
from trainyard.run_length import planned_epochs


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
        self.scores: dict[int, float] = {}  # by epoch
        self.rungs: dict[str, float] = {}
        self.trial: Any = None
        self.score: float | None = None  # of this epoch

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the trial of this job; a job without one is not pruned."""
        if trainer.is_global_zero:
            self.find_trial(planned_epochs(trainer) or 0)  # the config check requires a known length
        if not trainer.strategy.broadcast(self.trial is not None):
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

    def find_trial(self, max_epochs: int) -> None:
        """Find the running trial of this job, and report the epochs that it lacks."""
        from trainyard.sweeps.search.pruners import running_trial

        self.trial = running_trial(self.folder, self.pruner, max_epochs, self.scores, self.rungs)

    def ask(self, score: float, epoch: int, max_epochs: int) -> bool:
        """Report an epoch, and return whether it is to be the last."""
        from optuna.exceptions import UpdateFinishedTrialError

        if self.trial is None:  # the sweep was about to restart it at the epoch before
            self.find_trial(max_epochs)
        try:
            pruned = self.report(score, epoch)
        except UpdateFinishedTrialError:  # the sweep was killed and restarted: this job has another trial now
            self.find_trial(max_epochs)
            pruned = self.report(score, epoch)
        self.scores[epoch] = score
        return epoch != max_epochs and pruned

    def report(self, score: float, epoch: int) -> bool:
        """Report an epoch to the trial, if there is one, and return whether it should be pruned."""
        if self.trial is None:
            return False
        self.trial.report(score, epoch)
        pruned = bool(self.trial.should_prune())
        # Hyperband keeps its rungs here; Optuna has no public way to read them (tests/sweeps/search/test_pruning.py)
        self.rungs = self.trial.storage.get_trial_system_attrs(self.trial._trial_id)
        return pruned

    def state_dict(self) -> dict[str, Any]:
        return {"pruned": self.pruned, "scores": dict(self.scores), "rungs": dict(self.rungs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pruned, self.scores, self.rungs = (state_dict[name] for name in ("pruned", "scores", "rungs"))
