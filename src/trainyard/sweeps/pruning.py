"""Ending jobs of a sweep early, with Optuna's pruners."""

import math
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import lightning as L
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.storages import JournalStorage
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from trainyard.callbacks.progress_bar import planned_epochs
from trainyard.sweeps.journal import RUNG_PREFIX, latest_by_job, load_study, open_storage, running_trials
from trainyard.sweeps.stored import JOURNAL

WARMUP = 0.1  # share of the epochs before the median prunes


def median(max_epochs: int) -> BasePruner:
    """Return the median pruner (Golovin et al. 2017, Google Vizier): it starts after five completed trials."""
    return MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, math.ceil(max_epochs * WARMUP)))


def hyperband(max_epochs: int) -> BasePruner:
    """Return Hyperband (Li et al. 2018, arXiv:1603.06560): the best third continues after 1, 3, 9, ... epochs.

    It is asynchronous, as in Li et al. 2020, arXiv:1810.05934.
    """
    return HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3)


PRUNERS: dict[str, Callable[[int], BasePruner]] = {"median": median, "hyperband": hyperband}


class Pruning(L.Callback):
    """Reports each epoch's score to the journal of the sweep, and stops training if its pruner decides so.

    Jobs that run at the same time, on other machines too, report to the same journal.

    Attributes:
        pruned: whether training was stopped.

    Args:
        folder: directory of the job, in that of the sweep.
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
            max_epochs = planned_epochs(trainer) or 0  # the config check requires a known length
            self.job_pruner = JobPruner.find(self.folder, self.pruner, max_epochs)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.score = float(trainer.callback_metrics[self.objective])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the score of an epoch that was validated; rank 0 decides."""
        if self.job_pruner and self.score is not None:
            epoch = trainer.current_epoch + 1
            pruned, self.rungs = self.job_pruner.report(epoch, self.score, self.rungs)
            self.pruned = pruned and epoch != planned_epochs(trainer)
        self.score = None
        self.pruned = trainer.strategy.broadcast(self.pruned)
        trainer.should_stop = trainer.should_stop or self.pruned

    def state_dict(self) -> dict[str, Any]:
        return {"pruned": self.pruned, "rungs": dict(self.rungs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pruned, self.rungs = state_dict["pruned"], state_dict.get("rungs", {})


class JobPruner:
    """Reports the scores of a job to the journal of its sweep, and decides whether the job ends early.

    The job is compared only with jobs on the same split of the data, since folds differ in difficulty.
    """

    def __init__(self, storage: JournalStorage, study: Study, job: int, pruner: BasePruner) -> None:
        self.storage, self.study, self.job, self.pruner = storage, study, job, pruner

    @classmethod
    def find(cls, folder: Path, pruner: str, max_epochs: int) -> "JobPruner | None":
        """Return the pruner, a key of `PRUNERS`, of the job with a directory; `None` if no sweep runs it."""
        file = folder.parent / JOURNAL
        if not file.is_file() or not folder.name.isdecimal():
            return None
        storage = open_storage(file)
        study = load_study(storage)
        if study is None or int(folder.name) not in running_trials(study):
            return None
        return cls(storage, study, int(folder.name), PRUNERS[pruner](max_epochs))

    def report(self, epoch: int, score: float, rungs: Mapping[str, float]) -> tuple[bool, dict[str, float]]:
        """Report the score of an epoch; return whether to prune, and the rungs of Hyperband that the job has reached.

        A resumed job repeats the epochs after its checkpoint. An epoch that it had already passed does not prune it.

        Args:
            epoch: from 1.
            rungs: attributes of the trial that Hyperband set before this epoch.
        """
        trial = running_trials(self.study).get(self.job)
        if trial is None:  # the sweep has recorded that the job ended
            return False, dict(rungs)
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        last_epoch = max(trial.intermediate_values, default=0)
        if epoch not in trial.intermediate_values:
            self.storage.set_trial_intermediate_value(trial_id, epoch, score)
        study = self.comparable_study(epoch, rungs)
        pruned = bool(self.pruner.prune(study, study.get_trials(deepcopy=False)[trial.number]))
        attributes = study.get_trials(deepcopy=False)[trial.number].system_attrs
        reached = {name: value for name, value in attributes.items() if name.startswith(RUNG_PREFIX)}
        for name in reached.keys() - trial.system_attrs.keys():
            self.storage.set_trial_system_attr(trial_id, name, reached[name])
        return pruned and epoch >= last_epoch, reached

    def comparable_study(self, epoch: int, rungs: Mapping[str, float]) -> Study:
        """Return a copy of the study in memory in which the job is at an epoch.

        Trials that are not comparable are empty: the others need their numbers, by which Hyperband assigns brackets.
        """
        name, direction = self.study.study_name, self.study.direction
        study = optuna.create_study(study_name=name, direction=direction, pruner=self.pruner)
        trials = self.study.get_trials(deepcopy=False)
        latest = latest_by_job(trials)
        split = latest[self.job].user_attrs.get("split")
        for trial in trials:
            job = trial.user_attrs["job"]
            if latest[job] is not trial or trial.user_attrs.get("split") != split:
                study.add_trial(create_trial(state=TrialState.FAIL))
                continue
            comparable = copy(trial)
            comparable.params, comparable.distributions = {}, {}  # pruners do not need them, and copying them is slow
            if job == self.job:
                comparable.intermediate_values = {e: v for e, v in trial.intermediate_values.items() if e <= epoch}
                comparable.system_attrs = dict(rungs)
            study.add_trial(comparable)
        return study
