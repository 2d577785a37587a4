"""The jobs of a sweep that are to run, in order."""

import random
from collections.abc import Iterator
from itertools import islice

from trainyard.sweeps.job import Job
from trainyard.sweeps.search.probes import probes
from trainyard.sweeps.search.suggestions import Suggestions
from trainyard.sweeps.sweep import Sweep

BLIND = "optuna.samplers.RandomSampler"


class Worklist:
    """Yields jobs: those that are left of an earlier start, then what a search draws, each when it is asked for.

    Attributes:
        jobs: that have been yielded.
        total: jobs of the whole sweep; of a search, those that it has when all configurations are drawn.
        done: jobs that have ended, those that had before and stay included.

    Args:
        sweep: that is worked on.
        suggestions: of a search; `None` for a grid.
        trials: configurations of a search, in total.
        pruner: that its jobs ask whether they may go on.
    """

    def __init__(self, sweep: Sweep, suggestions: Suggestions | None, trials: int, pruner: str) -> None:
        self.sweep = sweep
        self.suggestions = suggestions
        self.left = sweep.left()
        if pruner != "none" and suggestions is None:
            numbers = {job.number for job in self.left}
            self.left = [job for job in mixed(sweep.jobs) if job.number in numbers]
        self.trials = trials
        self.total = sweep.stored.jobs_of(trials)
        self.done = len(sweep.jobs) - len(self.left)
        self.jobs: list[Job] = []
        self.fixed = [f"hydra.sweep.dir={sweep.stored.folder}"]
        self.fixed += [] if pruner == "none" else [f"sweep.pruner={pruner}"]

    def __len__(self) -> int:
        return self.total - self.done

    def __iter__(self) -> Iterator[Job]:
        for job in self.left:
            self.jobs.append(job)
            yield job
        known = self.sweep.jobs
        while self.suggestions and self.sweep.stored.configurations < self.trials:
            drawn = self.suggestions.next(len(known))
            if not drawn:
                print(f"all {len(known)} combinations have been drawn", flush=True)
                return
            new = [
                Job(number, words, self.sweep.stored.folder / str(number))
                for number, words in enumerate(drawn, len(known))
            ]
            known += new
            self.total = self.sweep.stored.jobs_of(self.trials)
            for job in new:
                self.jobs.append(job)
                yield job

    @property
    def known_ahead(self) -> bool:
        """Whether no job depends on how earlier ones ended."""
        return self.suggestions is None or self.sweep.stored.space.sampler == BLIND

    def batches(self, size: int) -> Iterator[list[Job]]:
        """Yield jobs a few at a time."""
        jobs = iter(self)
        while batch := list(islice(jobs, size)):
            yield batch

    def overrides(self, job: Job) -> list[str]:
        """Return what is composed for a job: its own overrides, and where it belongs."""
        return [*job.overrides, *self.fixed, f"hydra.sweep.subdir={job.number}"]

    @property
    def samples(self) -> list[Job]:
        """Jobs that are looked at before the first begins: all that are left, and some of a search's."""
        drawn = [] if self.sweep.jobs or not self.suggestions else probes(self.sweep.stored.space)
        return [*self.left, *(Job(number, words, self.sweep.stored.folder) for number, words in enumerate(drawn))]


def mixed(jobs: list[Job]) -> list[Job]:
    """Return jobs in an order that is always the same and follows no axis.

    A pruner compares a job with those before it: in the order of a grid, whose rates may rise, each would do better.
    All jobs of the grid are shuffled, also if some have ended: the order is the same after a restart.
    """
    return random.Random(0).sample(jobs, len(jobs))
