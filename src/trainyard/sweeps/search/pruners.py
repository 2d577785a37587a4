"""Which trials of a sweep end early."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial, TrialState

from trainyard.sweeps.search.study_views import StudyView, same_split
from trainyard.sweeps.stored import JOURNAL

WAIT = 10  # per cent of the epochs before the median says anything


def median(max_epochs: int) -> BasePruner:
    """Return what ends a trial whose best score so far is below the median of the others' at the same epoch.

    The first five that are completed are what the others are compared with (Golovin et al. 2017, Google Vizier).
    """
    return MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, math.ceil(max_epochs * WAIT / 100)))


def hyperband(max_epochs: int) -> BasePruner:
    """Return what lets the best third of trials go on after 1, 3, 9, ... epochs, and some trials start later in that.

    Li et al. 2018, arXiv:1603.06560; asynchronously, as in Li et al. 2020, arXiv:1810.05934.
    """
    return HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3)


PRUNERS: dict[str, Callable[[int], BasePruner]] = {"median": median, "hyperband": hyperband}


def running_trial(
    job: Path, pruner: str, max_epochs: int, scores: Mapping[int, float], rungs: Mapping[str, float]
) -> Trial | None:
    """Return the trial that a job's directory belongs to, to report to; `None` where no sweep has it.

    It is compared with trials of the same fold and split seed only.

    Args:
        job: its directory, named by its number.
        pruner: a name of `PRUNERS`.
        max_epochs: of the job.
        scores: by epoch, of the epochs before its checkpoint; reported to the trial of a job that resumes.
        rungs: the attributes that Hyperband gave it in those epochs, likewise.
    """
    journal = job.parent / JOURNAL
    if not journal.is_file():
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    [found] = storage.get_all_studies()
    running = storage.get_all_trials(found._study_id, deepcopy=False, states=(TrialState.RUNNING,))
    own = [trial for trial in running if str(trial.user_attrs.get("job")) == job.name]
    if not own:
        return None
    trial = own[-1]._trial_id
    for epoch, score in scores.items():
        if epoch not in own[-1].intermediate_values:
            storage.set_trial_intermediate_value(trial, epoch, score)
    for name in rungs.keys() - own[-1].system_attrs.keys():
        storage.set_trial_system_attr(trial, name, rungs[name])
    view = StudyView(journal, same_split(own[-1]), trial)
    return Trial(Study(found.study_name, view, RandomSampler(), PRUNERS[pruner](max_epochs)), trial)
