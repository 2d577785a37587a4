"""What happened in a sweep, attempt by attempt, in a file that only grows."""

import itertools
import json
import logging
import os
from collections import Counter
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState

from trainyard.files import relative
from trainyard.sweeps.job import Job
from trainyard.sweeps.stored import JOURNAL

STATES = {"completed": TrialState.COMPLETE, "failed": TrialState.FAIL, "interrupted": TrialState.FAIL}

log = logging.getLogger(__name__)


class Journal:
    """The attempts at the jobs of a sweep, as trials of an Optuna study; `job` tells whose attempt one is.

    Only one process at a time may have it: the one that holds the sweep's directory.

    Args:
        folder: of the sweep.
        mode: `max` or `min`, what is done with the objective.
    """

    def __init__(self, folder: Path, mode: str) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        mend(folder / JOURNAL)
        self.storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        self.mode = mode
        studies = self.storage.get_all_studies()
        direction = StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE
        self.study = studies[0]._study_id if studies else self.storage.create_new_study([direction], folder.name)
        self.running: dict[int, int] = {}  # the attempt at each job that runs

    def failures(self) -> Counter[int]:
        """Return how often each job has failed; being interrupted is no failure."""
        trials = self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.FAIL,))
        return Counter(trial.user_attrs["job"] for trial in trials if trial.user_attrs.get("status") == "failed")

    def settle(self, jobs: dict[int, Job]) -> None:
        """End the attempts that a killed sweeper left running, by what their directories tell."""
        for trial in self.storage.get_all_trials(self.study, deepcopy=False, states=(TrialState.RUNNING,)):
            job = jobs.get(trial.user_attrs.get("job", -1))
            self.end(trial._trial_id, job)

    def begin(self, job: Job) -> None:
        """Note that a job starts."""
        trial = self.storage.create_new_trial(self.study)
        self.storage.set_trial_user_attr(trial, "job", job.number)
        self.running[job.number] = trial

    def finish(self, job: Job) -> None:
        """Note how a job ended."""
        self.end(self.running.pop(job.number), job)

    def end(self, trial: int, job: Job | None) -> None:
        """Note how an attempt ended."""
        status = job.status if job is not None and job.status in STATES else "interrupted"
        self.storage.set_trial_user_attr(trial, "status", status)
        score = job.score if job is not None else None
        self.storage.set_trial_state_values(trial, STATES[status], None if score is None else [score])


def mend(file: Path) -> None:
    """Take away what a kill in the middle of a write left: a lock, which would hold the next up, and half a line.

    A journal that cannot be read all the same is moved aside: only how often jobs have failed is told nowhere else.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.is_file() and not (content := file.read_bytes()).endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
    if file.is_file() and not can_be_read(file):
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
