"""A running sweep: its unfinished jobs, and their start and end."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from optuna.samplers import BaseSampler

from trainyard.io.files import remove, remove_stale_drafts
from trainyard.run.run_directory import DONE
from trainyard.sweeps.distributions import distributions, representative_jobs
from trainyard.sweeps.execution.submission import QUEUE_FILE
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.sampling import ConfigurationSampler
from trainyard.sweeps.stored import StoredSweep

RANDOM_SAMPLER = "optuna.samplers.RandomSampler"  # its draws do not depend on scores


class Sweep:
    """The jobs of a stored sweep, and the journal of their starts and ends.

    Attributes:
        queue: unfinished jobs at the start of this process, in the order to run them.
        total: number of jobs, including those that a search has yet to draw.
        done: number of jobs that have ended, including those of earlier starts.
        disk_full: whether a job could not write its files.
        stopping: whether no more jobs start: the disk is full, or a job failed and `fail_fast` is set.

    Args:
        stored: the sweep, locked by this process.
        retries: how often a job that failed runs again.
        keep: number of the best jobs whose checkpoints are kept, those of the best configuration first; `None` for all.
        make_sampler: returns a sampler of Optuna for a `seed`; `None` for a grid.
        trials: number of configurations of a search.
        fail_fast: whether the first failure ends the sweep.
    """

    def __init__(
        self,
        stored: StoredSweep,
        retries: int,
        keep: int | None = None,
        make_sampler: Callable[..., BaseSampler] | None = None,
        seed: int = 0,
        trials: int = 0,
        pruner: str = "none",
        fail_fast: bool = False,
    ) -> None:
        self.stored, self.folder, self.jobs, self.axes = stored, stored.folder, stored.jobs, list(stored.space.axes)
        self.retries, self.keep, self.trials, self.pruner = retries, keep, trials, pruner
        self.fail_fast, self.disk_full, self.stopping = fail_fast, False, False
        self.journal = Journal(self.folder, stored.objective, distributions(stored.space))
        self.journal.finish_all(self.jobs)
        self.sampler = ConfigurationSampler(stored.space, self.journal, make_sampler, seed) if make_sampler else None
        self.queue = self.unfinished()
        self.total = stored.total_jobs(trials)
        self.done = len(self.jobs) - len(self.queue)
        self.without_checkpoints: set[int] = set()
        # Jobs of a cluster may still use their temporary files.
        remove_stale_drafts(self.folder, depth=0 if (self.folder / QUEUE_FILE).exists() else 2)
        unfinished = {self.earlier_attempt(job) for job in self.jobs if not job.has_ended}
        for attempt in {*self.folder.glob(".*.removed")} - unfinished:
            remove(attempt)

    @staticmethod
    def earlier_attempt(job: Job) -> Path:
        """Return where an attempt that a job cannot resume is kept until the next attempt has ended."""
        return job.folder.with_name(f".{job.number}.removed")

    def unfinished(self) -> list[Job]:
        """Return the jobs that have not ended, or that failed and may be retried, in the order to run them.

        A pruner compares a job with those before it. With rising learning rates, each job of a grid could do better
        than the last, and none would be pruned. A pruned grid is therefore shuffled, in the same way after a restart.
        """
        failures, jobs = self.journal.failures(), self.jobs
        if self.pruner != "none" and self.sampler is None:
            jobs = random.Random(0).sample(jobs, len(jobs))
        left = [job for job in jobs if job.status not in DONE]
        return [job for job in left if job.status != "failed" or failures[job.number] <= self.retries]

    def jobs_to_run(self) -> Iterator[Job]:
        """Yield the unfinished jobs, then the jobs of each configuration that the search draws."""
        yield from self.queue
        while self.sampler and self.stored.configurations < self.trials:
            jobs = self.sampler.sample(self.jobs)
            if not jobs:
                print(f"all {len(self.jobs)} combinations have been drawn", flush=True)
                return
            self.jobs += jobs
            self.stored.write_drawn()
            self.total = self.stored.total_jobs(self.trials)
            yield from jobs

    def batches(self, size: int) -> Iterator[list[Job]]:
        """Yield the jobs to run in batches, until the sweep stops."""
        jobs = self.jobs_to_run()
        while not self.stopping and (batch := list(islice(jobs, size))):
            yield batch

    @property
    def remaining(self) -> int:
        """The number of jobs that have not ended."""
        return self.total - self.done

    @property
    def is_independent(self) -> bool:
        """Whether no job depends on the results of earlier ones."""
        return self.sampler is None or self.stored.space.sampler == RANDOM_SAMPLER

    def overrides(self, job: Job) -> list[str]:
        """Return all overrides of a job, including its directory."""
        pruner = [] if self.pruner == "none" else [f"sweep.pruner={self.pruner}"]
        return [*job.overrides, f"hydra.sweep.dir={self.folder}", *pruner, f"hydra.sweep.subdir={job.number}"]

    @property
    def examples(self) -> list[Job]:
        """Jobs to check before the first one starts: all unfinished ones, or representatives of a new search."""
        if self.jobs or not self.sampler:
            return self.queue
        return Job.from_overrides(representative_jobs(self.stored.space), self.folder)

    def start(self, job: Job) -> None:
        """Record the start of a job, and move an attempt that it cannot resume out of the way."""
        if not job.can_resume and os.path.lexists(job.folder):
            remove(self.earlier_attempt(job))
            job.folder.rename(self.earlier_attempt(job))
        self.journal.start(job)

    def finish(self, job: Job, error: str, disk_full: bool = False) -> None:
        """Record the end of a job. An error that its process could not write itself becomes its result.

        A job on a full disk counts as interrupted.
        """
        job.refresh()
        if error and not disk_full:  # after `sys.exit`, its result says interrupted
            job.write_error(error)
        self.journal.finish(job)
        if job.has_ended:
            remove(self.earlier_attempt(job))
        self.done += 1
        self.disk_full |= disk_full
        self.stopping |= disk_full or (self.fail_fast and job.status == "failed")
        if self.keep is not None:
            self.remove_checkpoints(self.keep)

    def remove_checkpoints(self, keep: int) -> None:
        """Remove the checkpoints of jobs that are not among the best, once all replicates have ended."""
        ranked = [job for row in self.stored.rows if row.has_ended for job in row.by_score]
        pruned = [job for job in self.jobs if job.status == "pruned"]
        for job in [*pruned, *ranked[keep:]]:
            if job.number not in self.without_checkpoints:
                shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
                self.without_checkpoints.add(job.number)
