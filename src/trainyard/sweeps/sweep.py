"""A sweep that is worked on: what is left to do, and what becomes of it."""

import os
import shutil
from pathlib import Path

from trainyard.files import remove, remove_stale_drafts, write_json
from trainyard.run_directory import DONE
from trainyard.sweeps.execution.queue import FILE as QUEUE
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.search.distributions import distributions
from trainyard.sweeps.stored import StoredSweep


class Sweep:
    """The jobs of a stored sweep, and the journal of what happens to them.

    Args:
        stored: the sweep; only one process at a time may work on it.
        retries: how often a job that failed runs again.
        keep: number of the best jobs whose weights stay, those of the best configuration first; `None` for all.
    """

    def __init__(self, stored: StoredSweep, retries: int, keep: int | None = None) -> None:
        self.stored = stored
        self.retries = retries
        self.keep = keep
        self.jobs = stored.jobs
        self.kept = len(self.jobs)
        self.journal = Journal(stored.folder, stored.objectives, distributions(stored.space))
        self.journal.settle({job.number: job for job in self.jobs})
        self.clean()

    @property
    def axes(self) -> list[str]:
        """The keys that vary."""
        return list(self.stored.space.axes)

    def clean(self) -> None:
        """Remove what a sweeper that was killed left: temporary files, and earlier attempts at jobs that have ended.

        Temporary files in the directories of jobs that a cluster may still run stay.
        """
        remove_stale_drafts(self.stored.folder, depth=0 if (self.stored.folder / QUEUE).exists() else 2)
        unfinished = {self.earlier_attempt(job) for job in self.jobs if job.status not in (*DONE, "failed")}
        for away in {*self.stored.folder.glob(".*.removed")} - unfinished:
            remove(away)

    @staticmethod
    def earlier_attempt(job: Job) -> Path:
        """Return where an attempt is that a job cannot resume, until the next attempt has ended."""
        return job.folder.with_name(f".{job.number}.removed")

    def left(self) -> list[Job]:
        """Return the jobs to run: those that have not ended, and those that have failed and may once more."""
        failures = self.journal.failures()
        return [
            job
            for job in self.jobs
            if job.status not in DONE and (job.status != "failed" or failures[job.number] <= self.retries)
        ]

    def begin(self, job: Job) -> None:
        """Note the start of a job; what an attempt left that it cannot go on from is moved away."""
        if not job.can_go_on and os.path.lexists(job.folder):
            remove(self.earlier_attempt(job))
            job.folder.rename(self.earlier_attempt(job))
        if self.stored.space.sampler and job.number >= self.kept:
            self.stored.keep_drawn()
            self.kept = len(self.jobs)
        self.journal.begin(job)

    def finish(self, job: Job, error: str) -> None:
        """Note the end of a job; of one that ended before it could say so itself, its directory is told why."""
        job.look()
        if error and job.status != "failed":  # also `sys.exit`, which a run takes for an interruption
            job.folder.mkdir(parents=True, exist_ok=True)
            write_json(job.folder / "result.json", {"status": "failed", "error": error})
            job.look()
        self.journal.finish(job)
        if job.status in (*DONE, "failed"):
            remove(self.earlier_attempt(job))
        self.free()

    def free(self) -> None:
        """Remove the weights of the jobs that are not among the best, as far as their seeds and folds have ended."""
        if self.keep is None:
            return
        ranked = [job for row in self.stored.rows if row.has_ended for job in row.by_score]
        pruned = [job for job in self.jobs if job.status == "pruned"]
        for job in [*pruned, *ranked[self.keep :]]:
            shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
