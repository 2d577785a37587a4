"""The trials of a sweep's journal as Optuna's samplers and pruners are to see them."""

import statistics
from collections.abc import Callable, Container, Hashable
from copy import copy
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

View = Callable[[list[FrozenTrial]], list[FrozenTrial]]


class StudyView(JournalStorage):
    """A journal whose list of trials is changed before a study sees it.

    Args:
        file: the journal.
        view: called with all trials, returns those that are seen.
    """

    def __init__(self, file: Path, view: View) -> None:
        super().__init__(JournalFileBackend(str(file)))
        self.view = view

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials that are seen, of some states or of all."""
        trials = self.view(super().get_all_trials(study_id, deepcopy))
        return [trial for trial in trials if states is None or trial.state in states]


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
