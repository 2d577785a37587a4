"""Ending jobs of a sweep early, with Optuna's pruners."""

import math
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.storages import JournalStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainyard.sweeps.journal import RUNG, latest_by_job, load_study, open_storage
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


class JobPruner:
    """Reports the scores of a job to the journal of its sweep, and decides whether the job ends early.

    The job is compared with jobs on the same split of the data only, since folds differ in difficulty.

    Args:
        storage: of the journal.
        study: in the storage.
        job: number of the job.
        pruner: created by one of `PRUNERS`.
    """

    def __init__(self, storage: JournalStorage, study: Study, job: int, pruner: BasePruner) -> None:
        self.storage = storage
        self.study = study
        self.job = job
        self.pruner = pruner

    @classmethod
    def find(cls, folder: Path, pruner: str, max_epochs: int) -> "JobPruner | None":
        """Return the pruner, a key of `PRUNERS`, of the job with a directory; `None` if no sweep runs it."""
        file = folder.parent / JOURNAL
        if not file.is_file() or not folder.name.isdecimal():
            return None
        storage = open_storage(file)
        study = load_study(storage)
        found = cls(storage, study, int(folder.name), PRUNERS[pruner](max_epochs)) if study else None
        return found if found and found.trial() else None

    def trial(self) -> FrozenTrial | None:
        """Return the trial of the job, if it is running."""
        trial = latest_by_job(self.study.get_trials(deepcopy=False)).get(self.job)
        return trial if trial and trial.state is TrialState.RUNNING else None

    def report(self, epoch: int, score: float, rungs: Mapping[str, float]) -> tuple[bool, dict[str, float]]:
        """Report the score of an epoch; return whether to prune, and the rungs of Hyperband that the job has reached.

        A job that was resumed repeats the epochs after its checkpoint. Those before the last one that it has reported
        do not prune it: they did not before.

        Args:
            epoch: from 1.
            score: validation score.
            rungs: attributes that Hyperband set before this epoch.
        """
        own = self.trial()
        if own is None:
            return False, dict(rungs)
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, own.number)
        last_reported = max(own.intermediate_values, default=0)
        if epoch not in own.intermediate_values:
            self.storage.set_trial_intermediate_value(trial_id, epoch, score)
        view = self.comparable_study(epoch, rungs)
        pruned = bool(self.pruner.prune(view, view.get_trials()[own.number]))
        attributes = view.get_trials(deepcopy=False)[own.number].system_attrs
        reached = {name: value for name, value in attributes.items() if name.startswith(RUNG)}
        for name in reached.keys() - own.system_attrs.keys():
            self.storage.set_trial_system_attr(trial_id, name, reached[name])
        return pruned and epoch >= last_reported, reached

    def comparable_study(self, epoch: int, rungs: Mapping[str, float]) -> Study:
        """Return a study in memory in which the job is at an epoch, and trials that are not comparable are empty.

        Trials keep their numbers, by which Hyperband assigns them to brackets.
        """
        study = optuna.create_study(
            study_name=self.study.study_name, direction=self.study.direction, pruner=self.pruner
        )
        trials = self.study.get_trials(deepcopy=False)
        latest = latest_by_job(trials)
        split = latest[self.job].user_attrs.get("split")
        for trial in trials:
            job = trial.user_attrs["job"]
            if latest[job] is not trial or trial.user_attrs.get("split") != split:
                study.add_trial(create_trial(state=TrialState.FAIL))
                continue
            seen = copy(trial)
            if job == self.job:
                seen.intermediate_values = {e: value for e, value in trial.intermediate_values.items() if e <= epoch}
                seen.system_attrs = dict(rungs)
            study.add_trial(seen)
        return study
