"""The journal of a sweep: an Optuna study in a file, with the trials of its jobs."""

import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainyard.config.objective import Objective
from trainyard.io.errors import config_error
from trainyard.io.files import relative
from trainyard.io.resources import is_disk_full
from trainyard.sweeps.distributions import as_parameter
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import SPLITS
from trainyard.sweeps.stored import JOURNAL

RUNG_PREFIX = "completed_rung_"  # of the attributes that Hyperband sets


class Journal:
    """Trials of the jobs of a sweep. The user attribute `job` is the number of the job.

    A job has one trial, which stays RUNNING while the job is interrupted; only a job that failed gets another one.
    Only the process that has locked the sweep uses this class. Jobs add their scores with a `JobPruner`.
    """

    def __init__(
        self, folder: Path, objective: Objective, distributions: Mapping[str, BaseDistribution] | None = None
    ) -> None:
        self.folder = folder
        self.distributions = dict(distributions or {})
        try:
            repair_journal(folder / JOURNAL)
            check_lines(folder / JOURNAL)
            storage = open_storage(folder / JOURNAL)
            direction = StudyDirection.MAXIMIZE if objective.mode == "max" else StudyDirection.MINIMIZE
            self.study = load_study(storage) or optuna.create_study(
                storage=storage, study_name=folder.name, direction=direction
            )
            # Stored, because reading all trials for each job is slow in a large sweep.
            self.trial_count, self.recorded = len(self.trials()), set(latest_by_job(self.trials()))
            self.running = {job: trial.number for job, trial in running_trials(self.study).items()}
        except Exception as error:  # of any kind, since Optuna does not check what it reads
            if is_disk_full(error):
                raise
            problem = f"{relative(folder / JOURNAL)} cannot be read ({type(error).__name__}: {error})"
            accepted = "the file moved away; only the number of failures of each job is lost"
            raise config_error("sweep.name", folder.name, problem, accepted) from error

    def trials(self) -> list[FrozenTrial]:
        """Return all trials; do not change them."""
        return self.study.get_trials(deepcopy=False)

    def failures(self) -> Counter[int]:
        """Return how often each job has failed."""
        return Counter(trial.user_attrs["job"] for trial in self.trials() if trial.state is TrialState.FAIL)

    def start(self, job: Job) -> None:
        """Record the start of a job; one that was interrupted continues its trial."""
        if job.number in self.running:
            return
        before = latest_by_job(self.trials())[job.number] if job.number in self.recorded else None
        values = dict(override.partition("=")[::2] for override in job.overrides)
        params = {}
        for name, distribution in self.distributions.items():
            params[name] = as_parameter(",".join(values[key] for key in name.split(",")), distribution)
        split = " ".join(f"{key}={value}" for key, value in values.items() if key.lstrip("+") in SPLITS)
        state = before.system_attrs if before else job.sampler_state
        trial = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=self.distributions,
            user_attrs={"job": job.number, **({"split": split} if split else {})},
            system_attrs={name: value for name, value in state.items() if not name.startswith(RUNG_PREFIX)},
        )
        self.study.add_trial(trial)
        self.running[job.number] = self.trial_count
        self.recorded.add(job.number)
        self.trial_count += 1

    def finish(self, job: Job) -> None:
        """Record how a job ended, unless it was interrupted."""
        if not job.has_ended:
            return
        number = self.running[job.number]
        if job.score is not None and math.isfinite(job.score):
            self.study.tell(number, job.score)
        else:
            self.study.tell(number, state=TrialState.PRUNED if job.status == "pruned" else TrialState.FAIL)
        del self.running[job.number]

    def finish_all(self, jobs: Sequence[Job]) -> None:
        """Record jobs that ended after the sweep was killed."""
        for job in jobs:
            if job.number in self.running:
                self.finish(job)


def open_storage(file: Path) -> JournalStorage:
    """Return Optuna's storage of a journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(file), JournalLock(str(file))))


class JournalLock(JournalFileSymlinkLock):
    """Optuna's lock, which the processes of a machine queue for.

    Optuna retries in pauses of up to a second: without the queue, some of 64 writers wait for many seconds.
    """

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = file

    def acquire(self) -> bool:
        """Wait for the lock."""
        self.queued = open_queued(Path(self.file))
        return super().acquire()

    def release(self) -> None:
        """Release the lock; the next in the queue gets it when the file is closed."""
        with self.queued:
            super().release()


def open_queued(file: Path) -> BinaryIO:
    """Open a journal as soon as the other processes of this machine have closed it."""
    opened = file.open("ab")
    with suppress(ImportError, OSError):  # Windows, and file systems without locks
        import fcntl

        fcntl.flock(opened, fcntl.LOCK_EX)
    return opened


def load_study(storage: JournalStorage) -> Study | None:
    """Return the study of a journal; `None` in a new one."""
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage) if names else None


def latest_by_job(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return the last trial of each job."""
    return {trial.user_attrs["job"]: trial for trial in trials}


def running_trials(study: Study) -> dict[int, FrozenTrial]:
    """Return the trial of each job that has not ended."""
    latest = latest_by_job(study.get_trials(deepcopy=False))
    return {job: trial for job, trial in latest.items() if trial.state is TrialState.RUNNING}


def repair_journal(file: Path) -> None:
    """Remove the lock and the incomplete line that a killed process has left."""
    with open_queued(file):  # jobs of a cluster may still write
        file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
        if not (content := file.read_bytes()).endswith(b"\n"):
            os.truncate(file, content.rfind(b"\n") + 1)


def check_lines(file: Path) -> None:
    """Raise a ValueError if a line is not JSON; Optuna reports a damaged last line only when it writes another one."""
    if file.is_file():
        for line in file.read_bytes().splitlines():
            json.loads(line)
