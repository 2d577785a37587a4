"""A sweep in its directory: its jobs, what is left to do, and who works on it."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainyard.config import objective_mode
from trainyard.errors import ConfigError
from trainyard.files import write_json, write_text
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep

HOLDER = "holder"


class Sweep:
    """The jobs of a search space, in the directory of their sweep.

    Args:
        folder: of the sweep.
        space: its jobs.
        objective: the metric that chooses.
        retries: how often a job that failed runs again.
        keep: number of the best jobs whose weights stay; `None` for all.

    Raises:
        ConfigError: the directory is another sweep's.
    """

    def __init__(self, folder: Path, space: SearchSpace, objective: str, retries: int, keep: int | None = None) -> None:
        space.keep_in(folder, objective)
        self.folder = folder
        self.space = space
        self.retries = retries
        self.keep = keep
        self.stored = StoredSweep(folder, space, objective)
        self.jobs = self.stored.jobs
        self.journal = Journal(folder, objective_mode(objective))
        self.journal.settle({job.number: job for job in self.jobs})

    def left(self) -> list[Job]:
        """Return the jobs to run: those that have not ended, and those that have failed and may once more."""
        failures = self.journal.failures()
        return [
            job
            for job in self.jobs
            if job.status != "completed" and (job.status != "failed" or failures[job.number] <= self.retries)
        ]

    def begin(self, job: Job) -> None:
        """Note the start of a job; what an attempt left that it cannot go on from is removed."""
        if not job.can_go_on and job.folder.exists():
            away = job.folder.with_name(f".{job.number}.removed")
            shutil.rmtree(away, ignore_errors=True)
            job.folder.rename(away)  # at once: half of it might look like something to go on from
            shutil.rmtree(away, ignore_errors=True)
        self.journal.begin(job)

    def finish(self, job: Job, error: str) -> None:
        """Note the end of a job; of one that ended before it could say so itself, its directory is told why."""
        job.look()
        if error and job.status != "failed":  # also `sys.exit`, which a run takes for an interruption
            job.folder.mkdir(parents=True, exist_ok=True)
            write_json(job.folder / "result.json", {"status": "failed", "error": error})
            job.look()
        self.journal.finish(job)
        self.free()

    def free(self) -> None:
        """Remove the weights of the jobs that are not among the best."""
        if self.keep is None:
            return
        sign = -1 if self.journal.mode == "max" else 1
        done = [(sign * job.score, job.number) for job in self.jobs if job.score is not None]
        for _, number in sorted(done)[self.keep :]:
            shutil.rmtree(self.jobs[number].folder / "checkpoints", ignore_errors=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work on a sweep's directory alone.

    Raises:
        ConfigError: another process does; the message says which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        with (folder / HOLDER).open(encoding="utf-8") as file:
            holder = file.read().strip()
        accepted = "wait for it, or another sweep.name"
        raise ConfigError(f"sweep.name={folder.name}: process {holder} works on it\n  accepted: {accepted}") from error
    try:
        write_text(folder / HOLDER, f"{os.getpid()}\n")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def grouped(jobs: Sequence[Job], axes: Sequence[str]) -> list[str]:
    """Return a line for each cause of failures, with the overrides that all of its jobs share and no other job has."""
    failed = [job for job in jobs if job.status == "failed"]
    causes: dict[str, list[Job]] = {}
    for job in failed:
        causes.setdefault(str(job.result.get("error") or "unknown").splitlines()[0], []).append(job)
    lines = []
    for cause, members in causes.items():
        others = [job for job in jobs if job not in members]
        shared = set.intersection(*(set(job.overrides) for job in members))
        shared = {o for o in shared if o.partition("=")[0] in axes and all(o not in job.overrides for job in others)}
        have = f" (all {len(members)} have {' '.join(sorted(shared))})" if shared else ""
        numbers = ", ".join(f"#{job.number}" for job in members)
        lines.append(f"{len(members)} failed: {cause}{have}: {numbers}")
    return lines
