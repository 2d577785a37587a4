"""What a sweep has found: its configurations from the best on."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainyard.sweeps.job import Job
from trainyard.sweeps.objectives import is_dominated, mode_of

SEED = "seed"  # repeats a configuration, and is none itself


@dataclass(frozen=True)
class Row:
    """One configuration, over all seeds that it was run with.

    Attributes:
        values: of the keys that vary, but for the seed.
        jobs: that ran it.
        tied: whether its score cannot be told from the best one.
        on_front: whether no other is better in all objectives, where there are several.
    """

    values: dict[str, str]
    jobs: Sequence[Job]
    tied: bool = False
    on_front: bool = False

    @property
    def scores(self) -> list[float]:
        """The best validation scores of the jobs that are completed."""
        return [job.score for job in self.jobs if job.score is not None]

    @property
    def mean(self) -> float:
        """The mean score; not a number where no job is completed."""
        return statistics.mean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """The standard deviation over the seeds; not a number of a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    def mean_of(self, objective: str) -> float:
        """The mean of a metric, or of a cost, over the jobs that are completed."""
        return statistics.mean(job.measure(objective) for job in self.jobs if job.score is not None)

    @property
    def best(self) -> Job:
        """The completed job of the first seed, or the first job where none is."""
        return next((job for job in self.jobs if job.score is not None), self.jobs[0])

    @property
    def status(self) -> str:
        """`completed`, or how the jobs stand, counted."""
        kinds = sorted({job.status for job in self.jobs})
        if len(kinds) == 1:
            return kinds[0]
        return ", ".join(f"{sum(job.status == kind for job in self.jobs)} {kind}" for kind in kinds)


def is_seed(key: str) -> bool:
    """Whether a key is the seed, however it was typed: seed, +seed or ++seed."""
    return key.lstrip("+") == SEED


def leaderboard(jobs: Sequence[Job], axes: Sequence[str], objectives: Sequence[str]) -> list[Row]:
    """Return the configurations from the best mean score on, those without a score last.

    With several objectives, those come first that no other one is better than in all of them.

    With several seeds, those are tied with the best whose mean is less than two standard errors of the difference away
    (Welch); with one, those of the same score.

    Args:
        jobs: of the sweep.
        axes: keys that vary.
        objectives: metrics that choose, that of the runs first.
    """
    members: dict[tuple[str, ...], list[Job]] = {}
    keys = [axis for axis in axes if not is_seed(axis)]
    for job in jobs:
        chosen = dict(override.partition("=")[::2] for override in job.overrides)
        members.setdefault(tuple(chosen[key] for key in keys), []).append(job)
    rows = [Row(dict(zip(keys, values, strict=True)), group) for values, group in members.items()]
    sign = -1 if mode_of(objectives[0]) == "max" else 1
    rows.sort(key=lambda row: (not row.scores, sign * row.mean if row.scores else 0.0))
    rows = [replace(row, tied=bool(row.scores) and tied(row, rows[0])) for row in rows]
    return sorted(with_front(rows, objectives), key=lambda row: not row.on_front) if len(objectives) > 1 else rows


def with_front(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """Return the rows, marked where they lie on the Pareto front of the objectives' means."""
    modes = [mode_of(name) for name in objectives]
    places = {id(row): [row.mean_of(name) for name in objectives] for row in rows if row.scores}
    found = list(places.values())
    return [
        replace(row, on_front=id(row) in places and not is_dominated(places[id(row)], found, modes)) for row in rows
    ]


def tied(row: Row, best: Row) -> bool:
    """Whether two mean scores cannot be told apart."""
    errors = [r.std**2 / len(r.scores) for r in (row, best) if len(r.scores) > 1]
    if len(errors) < 2:
        return row.mean == best.mean
    return abs(row.mean - best.mean) <= 2 * math.sqrt(sum(errors))
