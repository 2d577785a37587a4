"""The trials of a sweep's journal as Optuna's samplers and pruners see them."""

import statistics
from collections import ChainMap
from collections.abc import Callable, Container, Hashable
from copy import copy
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

RUNG = "completed_rung_"  # Hyperband's attributes of a trial begin with it

View = Callable[[list[FrozenTrial]], list[FrozenTrial]]


class StudyView(JournalStorage):
    """A journal as samplers and pruners see it: every job has one trial, whose number is the number of the job.

    In the file, each further attempt at a job is another trial and shifts the numbers of those after it. Hyperband
    chooses the bracket of a trial by its number, and TPE weighs trials in the order of their numbers: with this view, a
    sweep that was killed and started again decides as one that was not.

    Args:
        file: the journal.
        view: called with the trials of all jobs, returns those that are visible.
        own: ID of the trial that decides; `None` if it is none of them.
    """

    def __init__(self, file: Path, view: View, own: int | None = None) -> None:
        super().__init__(JournalFileBackend(str(file)))
        self.view = view
        self.own = own

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial with the number of its job."""
        return numbered(super().get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the visible trials, in the order of their jobs, of some states or of all."""
        trials = self.view(one_per_job(super().get_all_trials(study_id, deepcopy), self.own))
        return [trial for trial in trials if states is None or trial.state in states]


def numbered(trial: FrozenTrial) -> FrozenTrial:
    """Return a copy of a trial with the number of its job."""
    found = copy(trial)
    found.number = trial.user_attrs.get("job", trial.number)
    return found


def one_per_job(trials: list[FrozenTrial], own: int | None = None) -> list[FrozenTrial]:
    """Return the state of each job as one trial, see `combine_attempts`."""
    attempts: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if "job" in trial.user_attrs:  # else the process was killed while it wrote
            attempts.setdefault(trial.user_attrs["job"], []).append(trial)
    return [combine_attempts(attempts[number], own) for number in sorted(attempts)]


def combine_attempts(attempts: list[FrozenTrial], own: int | None) -> FrozenTrial:
    """Return the latest attempt at a job.

    Until it has ended, other jobs also see what the earlier attempts reported: it will report the same again. The job
    itself sees only what it has reported since its checkpoint or before.
    """
    found = numbered(attempts[-1])
    ended = found.state.is_finished() and found.user_attrs.get("status") != "interrupted"
    if not ended and found._trial_id != own:
        found.intermediate_values = dict(ChainMap(*(trial.intermediate_values for trial in reversed(attempts))))
        found.system_attrs = dict(ChainMap(*(trial.system_attrs for trial in reversed(attempts))))
    return found


def one_per_configuration(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return a trial for each configuration: trials with the same parameters differ in seed or fold, or are retries."""
    groups: dict[Hashable, list[FrozenTrial]] = {}
    for trial in trials:
        groups.setdefault(frozenset(trial.params.items()) or trial.number, []).append(trial)
    return [mean_of(group) for group in groups.values()]


def mean_of(group: list[FrozenTrial]) -> FrozenTrial:
    """Return one trial in place of several: running while one of them is, pruned if one was, else with mean values."""
    unfinished = [trial for trial in group if not trial.state.is_finished()]
    pruned = [trial for trial in group if trial.state is TrialState.PRUNED]
    completed = [trial for trial in group if trial.state is TrialState.COMPLETE]
    if unfinished or pruned or not completed:
        return [*unfinished, *pruned, *group][0]
    found = copy(completed[0])
    found.values = [statistics.fmean(values) for values in zip(*(trial.values for trial in completed), strict=True)]
    return found


def same_split(own: FrozenTrial) -> View:
    """Return a view of the trials that are validated on the same examples: one fold may be easier than another."""
    split = own.user_attrs.get("split")
    return lambda trials: [trial for trial in trials if trial.user_attrs.get("split") == split]
