"""What happened in a sweep, attempt by attempt, in a file that only grows."""

import itertools
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainyard.files import relative
from trainyard.sweeps.job import Job
from trainyard.sweeps.objectives import mode_of
from trainyard.sweeps.search.distributions import as_parameter
from trainyard.sweeps.search.study_views import RUNG, StudyView, one_per_configuration
from trainyard.sweeps.search_space import SPLITS
from trainyard.sweeps.stored import JOURNAL

STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.FAIL,
}
DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}

NAMES = "study:metric_names"  # where Optuna looks for what its plots are called

log = logging.getLogger(__name__)


class Journal:
    """The attempts at the jobs of a sweep, as trials of an Optuna study; `job` tells whose attempt one is.

    Only one process at a time may have it: the one that holds the sweep's directory.

    Args:
        folder: of the sweep.
        objectives: the metrics that choose.
        axes: what varies, by the keys that are chosen together.
    """

    def __init__(
        self, folder: Path, objectives: Sequence[str], axes: Mapping[str, BaseDistribution] | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        mend(folder / JOURNAL)
        self.file = folder / JOURNAL
        self.storage = JournalStorage(JournalFileBackend(str(self.file)))
        self.objectives = objectives
        self.axes = axes or {}
        studies = self.storage.get_all_studies()
        directions = [DIRECTIONS[mode_of(name)] for name in objectives]
        self.name = studies[0].study_name if studies else folder.name
        self.study = studies[0]._study_id if studies else self.storage.create_new_study(directions, self.name)
        if not studies:
            self.storage.set_study_system_attr(self.study, NAMES, list(objectives))
        self.running: dict[int, int] = {}  # the attempt at each job that runs
        self.drawn: dict[int, int] = {}  # the first attempt at a job that a search draws

    def failures(self) -> Counter[int]:
        """Return how often each job has failed; being interrupted is no failure."""
        trials = self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.FAIL,))
        return Counter(trial.user_attrs["job"] for trial in trials if trial.user_attrs.get("status") == "failed")

    def settle(self, jobs: dict[int, Job]) -> None:
        """End the attempts that a killed sweeper left running, by what their directories tell."""
        for trial in self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.RUNNING,)):
            job = jobs.get(trial.user_attrs.get("job", -1))
            self.end(trial._trial_id, job)

    def by_job(self) -> StudyView:
        """Return the trials as a sampler sees them: one for each job."""
        return StudyView(self.file, lambda trials: trials)

    def by_configuration(self) -> StudyView:
        """Return one trial for each configuration, with the mean of its replicates."""
        return StudyView(self.file, one_per_configuration)

    def draw(self, number: int) -> int:
        """Begin the attempt that a job will be, for a sampler to draw what it consists of."""
        self.drawn[number] = trial = self.storage.create_new_trial(self.study)
        self.storage.set_trial_user_attr(trial, "job", number)
        return trial

    def begin(self, job: Job) -> None:
        """Note that a job starts; one that resumes reports the epochs before its checkpoint again."""
        chosen = dict(override.partition("=")[::2] for override in job.overrides)
        texts = {name: ",".join(chosen[key] for key in name.split(",")) for name in self.axes}
        values = {name: as_parameter(text, self.axes[name]) for name, text in texts.items()}
        if job.number in self.drawn:
            self.running[job.number] = trial = self.drawn.pop(job.number)
            for name, axis in self.axes.items():
                self.storage.set_trial_param(trial, name, axis.to_internal_repr(values[name]), axis)
            for key, value in self.attributes(job).items():
                self.storage.set_trial_user_attr(trial, key, value)
            return
        before = self.last_attempt(job)
        drawn = {} if before is None else before.system_attrs  # by a sampler
        template = create_trial(
            state=TrialState.RUNNING,
            params=values,
            distributions=dict(self.axes),
            user_attrs=self.attributes(job),
            system_attrs={name: value for name, value in drawn.items() if not name.startswith(RUNG)},
        )
        self.running[job.number] = self.storage.create_new_trial(self.study, template_trial=template)

    @staticmethod
    def attributes(job: Job) -> dict[str, Any]:
        """Return whose attempt a trial is, and which of several splits of the data it is validated on."""
        split = [word for word in job.overrides if word.partition("=")[0].lstrip("+") in SPLITS]
        return {"job": job.number, **({"split": " ".join(split)} if split else {})}

    def last_attempt(self, job: Job) -> FrozenTrial | None:
        """Return the latest attempt at a job."""
        trials = reversed(self.storage.get_all_trials(self.study, deepcopy=False))
        return next((trial for trial in trials if trial.user_attrs.get("job") == job.number), None)

    def finish(self, job: Job) -> None:
        """Note how a job ended."""
        self.end(self.running.pop(job.number), job)

    def end(self, trial: int, job: Job | None) -> None:
        """Note how an attempt ended."""
        status = job.status if job is not None and job.status in STATES else "interrupted"
        self.storage.set_trial_user_attr(trial, "status", status)
        self.storage.set_trial_state_values(trial, STATES[status], job.values(self.objectives) if job else None)


def mend(file: Path) -> None:
    """Take away what a kill in the middle of a write left: a lock, which would hold the next up, and half a line.

    A journal that cannot be read all the same is moved aside: only how often jobs have failed is told nowhere else.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.is_file() and not (content := file.read_bytes()).endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
    if file.exists() and not (file.is_file() and can_be_read(file)):
        numbers = itertools.count(2)
        broken = file.with_name(f"{file.name}.broken")
        while broken.exists():
            broken = file.with_name(f"{file.name}.broken.{next(numbers)}")
        file.rename(broken)
        log.warning("%s cannot be read, and is kept as %s; failures are counted anew", relative(file), broken.name)


def can_be_read(file: Path) -> bool:
    """Whether Optuna makes sense of every line of a journal; of the last alone it says nothing."""
    last = file.read_bytes().splitlines()[-1:]
    try:
        JournalStorage(JournalFileBackend(str(file)))
        return all(isinstance(json.loads(line), dict) for line in last)
    except OSError:
        raise
    except Exception:  # of any kind: it trusts what it reads
        return False
