"""The journal of a sweep: an Optuna study in a file, with the trials of its jobs."""

import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainyard.config.composition import objective_mode
from trainyard.io.errors import config_error
from trainyard.io.files import relative
from trainyard.io.resources import is_disk_full
from trainyard.run.run_directory import DONE
from trainyard.sweeps.distributions import as_parameter
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import SPLITS
from trainyard.sweeps.stored import JOURNAL

RUNG = "completed_rung_"  # prefix of the attributes that Hyperband sets


class Journal:
    """Trials of the jobs of a sweep. The user attribute `job` is the number of the job.

    A job has one trial, which stays RUNNING while it is interrupted. Only a job that failed gets another one when it
    runs again. Only one process at a time may use it: the one that has locked the sweep.

    Args:
        objective: the metric that the runs report.
        distributions: of the axes, by key.

    Raises:
        ConfigError: the file is damaged.
    """

    def __init__(
        self, folder: Path, objective: str, distributions: Mapping[str, BaseDistribution] | None = None
    ) -> None:
        self.folder = folder
        self.distributions = dict(distributions or {})
        repair_journal(folder / JOURNAL)
        try:
            check_lines(folder / JOURNAL)
            storage = open_storage(folder / JOURNAL)
            is_score = objective_mode(objective) == "max"
            direction = StudyDirection.MAXIMIZE if is_score else StudyDirection.MINIMIZE
            self.study = load_study(storage) or optuna.create_study(
                storage=storage, study_name=folder.name, direction=direction
            )
            latest = latest_by_job(self.trials())
        except Exception as error:  # of any kind, since Optuna does not check what it reads
            if is_disk_full(error):
                raise
            problem = f"{relative(folder / JOURNAL)} cannot be read ({type(error).__name__}: {error})"
            accepted = "the file moved away; only the number of failures of each job is lost"
            raise config_error("sweep.name", folder.name, problem, accepted) from error
        self.running = {job: trial.number for job, trial in latest.items() if trial.state is TrialState.RUNNING}

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
        chosen = dict(word.partition("=")[::2] for word in job.overrides)
        texts = {name: ",".join(chosen[key] for key in name.split(",")) for name in self.distributions}
        split = " ".join(word for word in job.overrides if word.partition("=")[0].lstrip("+") in SPLITS)
        before = latest_by_job(self.trials()).get(job.number)
        state = job.sampler_state if before is None else before.system_attrs
        trial = create_trial(
            state=TrialState.RUNNING,
            params={name: as_parameter(text, self.distributions[name]) for name, text in texts.items()},
            distributions=self.distributions,
            user_attrs={"job": job.number, **({"split": split} if split else {})},
            system_attrs={name: value for name, value in state.items() if not name.startswith(RUNG)},
        )
        self.study.add_trial(trial)
        self.running[job.number] = len(self.trials()) - 1

    def finish(self, job: Job) -> None:
        """Record how a job ended, unless it was interrupted."""
        if job.status not in (*DONE, "failed"):
            return
        number = self.running.pop(job.number)
        if job.score is not None and math.isfinite(job.score):
            self.study.tell(number, job.score)
        else:
            self.study.tell(number, state=TrialState.PRUNED if job.status == "pruned" else TrialState.FAIL)

    def finish_all(self, jobs: Sequence[Job]) -> None:
        """Record jobs that ended after the sweep was killed."""
        for job in jobs:
            if job.number in self.running:
                self.finish(job)


def open_storage(file: Path) -> JournalStorage:
    """Return Optuna's storage of a journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(file)))


def load_study(storage: JournalStorage) -> Study | None:
    """Return the study of a journal; `None` in a new one."""
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage) if names else None


def latest_by_job(trials: Sequence[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return the last trial of each job."""
    return {trial.user_attrs["job"]: trial for trial in trials}


def repair_journal(file: Path) -> None:
    """Remove the lock and the incomplete line that a killed process has left."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.is_file() and not (content := file.read_bytes()).endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)


def check_lines(file: Path) -> None:
    """Raise a ValueError if a line is not JSON; Optuna reports a damaged last line only when it writes another one."""
    if file.is_file():
        for line in file.read_bytes().splitlines():
            json.loads(line)
