"""A sweep that is worked on: what is left to do, and what becomes of it."""

import shutil

from trainyard.files import write_json
from trainyard.sweeps.job import DONE, Job
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

    @property
    def axes(self) -> list[str]:
        """The keys that vary."""
        return list(self.stored.space.axes)

    def left(self) -> list[Job]:
        """Return the jobs to run: those that have not ended, and those that have failed and may once more."""
        failures = self.journal.failures()
        return [
            job
            for job in self.jobs
            if job.status not in DONE and (job.status != "failed" or failures[job.number] <= self.retries)
        ]

    def begin(self, job: Job) -> None:
        """Note the start of a job; what an attempt left that it cannot go on from is removed."""
        if not job.can_go_on and job.folder.exists():
            away = job.folder.with_name(f".{job.number}.removed")
            shutil.rmtree(away, ignore_errors=True)
            job.folder.rename(away)  # at once: half of it might look like something to go on from
            shutil.rmtree(away, ignore_errors=True)
        if self.stored.space.sampler and job.number >= self.kept:
            self.stored.keep_drawn()
            self.kept = len(self.jobs)
        self.journal.begin(job)

    def finish(self, job: Job, error: str) -> None:
        """Note the end of a job; of one that ended before it could say so itself, its directory is told why."""
        job.look()
        if error and job.status not in (*DONE, "failed"):  # also `sys.exit`, which a run takes for an interruption
            job.folder.mkdir(parents=True, exist_ok=True)
            write_json(job.folder / "result.json", {"status": "failed", "error": error})
            job.look()
        self.journal.finish(job)
        self.free()

    def free(self) -> None:
        """Remove the weights of the jobs that are not among the best, as far as their seeds and folds have ended."""
        if self.keep is None:
            return
        ranked = [job for row in self.stored.rows if row.has_ended for job in row.by_score]
        pruned = [job for job in self.jobs if job.status == "pruned"]
        for job in [*pruned, *ranked[self.keep :]]:
            shutil.rmtree(job.folder / "checkpoints", ignore_errors=True)
