"""What a sweep has found: its configurations, the best one first."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainyard.run_directory import ENDS
from trainyard.sweeps.job import Job
from trainyard.sweeps.objectives import is_dominated, mode_of
from trainyard.sweeps.search_space import is_replicate


@dataclass(frozen=True)
class Row:
    """One configuration, over all of its replicates: the seeds and folds that it was run with.

    Attributes:
        values: of the keys that vary, without replicates.
        jobs: that ran it.
        objective: the metric that chooses.
        tied: whether its score is not significantly different from the best one.
        on_front: whether no other is better in all objectives, where there are several.
    """

    values: dict[str, str]
    jobs: Sequence[Job]
    objective: str
    tied: bool = False
    on_front: bool = False

    @property
    def completed(self) -> list[Job]:
        """The jobs that are completed."""
        return [job for job in self.jobs if job.score is not None]

    @property
    def scores(self) -> list[float]:
        """The best validation scores of the jobs that are completed."""
        return [job.score for job in self.jobs if job.score is not None]

    @property
    def is_complete(self) -> bool:
        """Whether all of its jobs are completed: the mean over some folds is not compared with that over all."""
        return len(self.scores) == len(self.jobs)

    @property
    def has_ended(self) -> bool:
        """Whether none of its jobs is left to do."""
        return all(job.status in ENDS and job.status != "interrupted" for job in self.jobs)

    @property
    def mean(self) -> float:
        """The mean score; NaN where no job is completed."""
        return statistics.mean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """The standard deviation over the replicates; NaN of a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    def mean_of(self, objective: str) -> float:
        """The mean of a metric, or of a cost, over the jobs that are completed."""
        return statistics.mean(job.measure(objective) for job in self.completed)

    @property
    def by_score(self) -> list[Job]:
        """The completed jobs, the best validation score first."""
        return sorted(self.completed, key=lambda job: (best_first(self.objective, job.score), job.number))

    @property
    def best(self) -> Job:
        """The completed job with the best validation score, or the first job where none is completed."""
        return next(iter(self.by_score), self.jobs[0])

    @property
    def status(self) -> str:
        """`completed`, or how many jobs have each status."""
        kinds = sorted({job.status for job in self.jobs})
        if len(kinds) == 1:
            return kinds[0]
        return ", ".join(f"{sum(job.status == kind for job in self.jobs)} {kind}" for kind in kinds)


def leaderboard(jobs: Sequence[Job], axes: Sequence[str], objectives: Sequence[str]) -> list[Row]:
    """Return the configurations from the best mean score on, then those that lack jobs, those without a score last.

    With several objectives, those come first that no other one is better than in all of them.

    With several replicates, those are tied with the best whose mean is less than two standard errors of the
    difference away (Welch); with one, those of the same score.

    Args:
        jobs: of the sweep.
        axes: keys that vary.
        objectives: metrics that choose, that of the runs first.
    """
    members: dict[tuple[str, ...], list[Job]] = {}
    keys = [axis for axis in axes if not is_replicate(axis)]
    for job in jobs:
        chosen = dict(override.partition("=")[::2] for override in job.overrides)
        members.setdefault(tuple(chosen[key] for key in keys), []).append(job)
    rows = [Row(dict(zip(keys, values, strict=True)), group, objectives[0]) for values, group in members.items()]
    rows.sort(key=lambda row: (not row.scores, not row.is_complete, best_first(objectives[0], row.mean)))
    rows = [replace(row, tied=bool(row.scores) and tied(row, rows[0])) for row in rows]
    return sorted(with_front(rows, objectives), key=lambda row: not row.on_front) if len(objectives) > 1 else rows


def best_first(objective: str, score: float | None) -> float:
    """Return what puts scores in order, the best first; all that are none are equal."""
    if score is None or math.isnan(score):
        return 0.0
    return -score if mode_of(objective) == "max" else score


def with_front(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """Return the rows, marked where they lie on the Pareto front of the objectives' means.

    Configurations of which some jobs are not completed are compared only where there are no others.
    """
    modes = [mode_of(name) for name in objectives]
    compared = [row for row in rows if row.is_complete] or [row for row in rows if row.scores]
    places = {id(row): [row.mean_of(name) for name in objectives] for row in compared}
    found = list(places.values())
    return [
        replace(row, on_front=id(row) in places and not is_dominated(places[id(row)], found, modes)) for row in rows
    ]


def tied(row: Row, best: Row) -> bool:
    """Whether two mean scores are not significantly different."""
    errors = [r.std**2 / len(r.scores) for r in (row, best) if len(r.scores) > 1]
    if len(errors) < 2:
        return row.mean == best.mean
    return abs(row.mean - best.mean) <= 2 * math.sqrt(sum(errors))
