"""A sweep that is being run: its journal, and the queue of its jobs."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from optuna.samplers import BaseSampler

from trainyard.files import remove, remove_stale_drafts, write_json
from trainyard.sweeps.distributions import distributions, representative_jobs
from trainyard.sweeps.execution.submission import QUEUE_FILE
from trainyard.sweeps.job import DONE, Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.sampling import ConfigurationSampler
from trainyard.sweeps.stored import StoredSweep

RANDOM_SAMPLER = "optuna.samplers.RandomSampler"  # its draws do not depend on scores


class Sweep:
    """The jobs of a stored sweep, and the journal of what happens to them.

    Args:
        stored: the sweep, locked by this process.
        retries: how often a job that failed runs again.
        keep: number of the best jobs whose checkpoints are kept, those of the best configuration first; `None` for all.
    """

    def __init__(self, stored: StoredSweep, retries: int, keep: int | None = None) -> None:
        self.stored = stored
        self.retries = retries
        self.keep = keep
        self.jobs = stored.jobs
        self.written = len(self.jobs)  # jobs of a search in the file of drawn jobs
        self.journal = Journal(stored.folder, stored.objectives, distributions(stored.space))
        self.journal.finish_all(self.jobs)
        self.remove_leftovers()

    @property
    def axes(self) -> list[str]:
        """The keys that vary."""
        return list(self.stored.space.axes)

    def remove_leftovers(self) -> None:
        """Remove temporary files of a killed sweep, and earlier attempts at jobs that have ended.

        Temporary files of jobs that may still run on a cluster are kept.
        """
        depth = 0 if (self.stored.folder / QUEUE_FILE).exists() else 2
        remove_stale_drafts(self.stored.folder, depth)
        unfinished = {self.earlier_attempt(job) for job in self.jobs if job.status not in (*DONE, "failed")}
        for folder in {*self.stored.folder.glob(".*.removed")} - unfinished:
            remove(folder)

    @staticmethod
    def earlier_attempt(job: Job) -> Path:
        """Return where an attempt that cannot be resumed is kept until the next attempt has ended."""
        return job.folder.with_name(f".{job.number}.removed")

    def unfinished(self) -> list[Job]:
        """Return the jobs to run: those that have not ended, and those that failed and may be retried."""
        failures = self.journal.failures()
        return [
            job
            for job in self.jobs
            if job.status not in DONE and (job.status != "failed" or failures[job.number] <= self.retries)
        ]

    def start(self, job: Job) -> None:
        """Record the start of a job, and move an attempt away that it cannot resume."""
        if not job.can_resume and os.path.lexists(job.folder):
            remove(self.earlier_attempt(job))
            job.folder.rename(self.earlier_attempt(job))
        if self.stored.space.sampler and job.number >= self.written:
            self.stored.write_drawn()
            self.written = len(self.jobs)
        self.journal.start(job)

    def finish(self, job: Job, error: str) -> None:
        """Record the end of a job. An error that its process could not write itself becomes its result."""
        job.refresh()
        if error and job.status != "failed":  # also after `sys.exit`, which looks like an interruption
            job.folder.mkdir(parents=True, exist_ok=True)
            write_json(job.folder / "result.json", {"status": "failed", "error": error})
            job.refresh()
        self.journal.finish(job)
        if job.status in (*DONE, "failed"):
            remove(self.earlier_attempt(job))
        self.remove_checkpoints()

    def remove_checkpoints(self) -> None:
        """Remove the checkpoints of jobs that are not among the best, once all replicates have ended."""
        if self.keep is None:
            return
        ranked = [job for row in self.stored.rows if row.has_ended for job in row.by_score]
        pruned = [job for job in self.jobs if job.status == "pruned"]
        for job in [*pruned, *ranked[self.keep :]]:
            shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)


class JobQueue:
    """Yields the jobs to run: unfinished ones of an earlier start, then those that a search draws, one at a time.

    Attributes:
        started: jobs that have been yielded.
        total: number of jobs of the sweep, with those that the search has still to draw.
        done: number of jobs that have ended, with those of earlier starts.

    Args:
        sweep: to run.
        make_sampler: of a search, see `ConfigurationSampler`; `None` for a grid.
        seed: of the search.
        trials: configurations of the search in total.
        pruner: that its jobs use.
    """

    def __init__(
        self, sweep: Sweep, make_sampler: Callable[..., BaseSampler] | None, seed: int, trials: int, pruner: str
    ) -> None:
        stored = sweep.stored
        self.sweep = sweep
        self.sampler = ConfigurationSampler(stored.space, sweep.journal, make_sampler, seed) if make_sampler else None
        self.trials = trials
        self.unfinished = sweep.unfinished()
        if pruner != "none" and self.sampler is None:
            numbers = {job.number for job in self.unfinished}
            self.unfinished = [job for job in shuffled(sweep.jobs) if job.number in numbers]
        self.total = stored.total_jobs(trials)
        self.done = len(sweep.jobs) - len(self.unfinished)
        self.started: list[Job] = []
        self.common = [f"hydra.sweep.dir={stored.folder}", *([] if pruner == "none" else [f"sweep.pruner={pruner}"])]

    def __len__(self) -> int:
        return self.total - self.done

    def __iter__(self) -> Iterator[Job]:
        for job in self.unfinished:
            self.started.append(job)
            yield job
        jobs, stored = self.sweep.jobs, self.sweep.stored
        while self.sampler and stored.configurations < self.trials:
            new = self.sampler.sample(jobs)
            if not new:
                print(f"all {len(jobs)} combinations have been drawn", flush=True)
                return
            jobs += new
            self.total = stored.total_jobs(self.trials)
            for job in new:
                self.started.append(job)
                yield job

    @property
    def is_independent(self) -> bool:
        """Whether no job depends on the results of earlier ones."""
        return self.sampler is None or self.sweep.stored.space.sampler == RANDOM_SAMPLER

    def batches(self, size: int) -> Iterator[list[Job]]:
        """Yield the jobs in batches."""
        jobs = iter(self)
        while batch := list(islice(jobs, size)):
            yield batch

    def overrides(self, job: Job) -> list[str]:
        """Return all overrides of a job, with those of its directory."""
        return [*job.overrides, *self.common, f"hydra.sweep.subdir={job.number}"]

    @property
    def examples(self) -> list[Job]:
        """Jobs to check before the first one starts: all unfinished ones, or representatives of a new search."""
        words = [] if self.sweep.jobs or not self.sampler else representative_jobs(self.sweep.stored.space)
        return [*self.unfinished, *(Job(number, each, self.sweep.stored.folder) for number, each in enumerate(words))]


def shuffled(jobs: list[Job]) -> list[Job]:
    """Return jobs in a fixed random order.

    A pruner compares a job with those before it. In the order of a grid with rising learning rates, each job would do
    better than the last. All jobs are shuffled, so that the order is the same after a restart.
    """
    return random.Random(0).sample(jobs, len(jobs))
