"""The configurations of a sweep from best to worst, and the effect of each axis."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import is_replicate


@dataclass(frozen=True)
class Row:
    """One configuration, with the jobs of all its replicates.

    Attributes:
        values: of the keys that vary, without replicates.
        tied: whether its score is not significantly different from the best one.
    """

    values: dict[str, str]
    jobs: Sequence[Job]
    objective: Objective
    tied: bool = False

    @cached_property
    def completed(self) -> list[Job]:
        """The completed jobs."""
        return [job for job in self.jobs if job.score is not None]

    @cached_property
    def scores(self) -> list[float]:
        """The best validation scores of the completed jobs."""
        return [score for job in self.jobs if (score := job.score) is not None]

    @property
    def has_ended(self) -> bool:
        """Whether no job is left to run."""
        return all(job.has_ended for job in self.jobs)

    @cached_property
    def mean(self) -> float:
        """The mean score; NaN without completed jobs."""
        return statistics.mean(self.scores) if self.scores else math.nan

    @cached_property
    def std(self) -> float:
        """The standard deviation over the replicates; NaN for a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    @property
    def by_score(self) -> list[Job]:
        """The completed jobs, the best first."""
        return sorted(self.completed, key=lambda job: (self.objective.sort_key(job.score), job.number))

    @property
    def best(self) -> Job:
        """The completed job with the best score; the first job if none is completed."""
        return next(iter(self.by_score), self.jobs[0])

    @property
    def status(self) -> str:
        """The status of all jobs, or the number of jobs of each status."""
        counts = Counter(job.status for job in self.jobs)
        if len(counts) == 1:
            return self.jobs[0].status
        return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def leaderboard(jobs: Sequence[Job], axes: Sequence[str], objective: Objective) -> list[Row]:
    """Return the configurations: by mean score, then those that lack jobs, then those without a score.

    Configurations with several replicates are tied with the best if the means differ by at most two standard errors of
    the difference (Welch), others if they are equal.
    """
    groups: dict[tuple[str, ...], list[Job]] = {}
    keys = [axis for axis in axes if not is_replicate(axis)]
    for job in jobs:
        values = dict(override.partition("=")[::2] for override in job.overrides)
        groups.setdefault(tuple(values[key] for key in keys), []).append(job)
    rows = [Row(dict(zip(keys, values, strict=True)), group, objective) for values, group in groups.items()]
    # The mean over some of the folds is not comparable.
    rows.sort(key=lambda row: (not row.scores, len(row.scores) < len(row.jobs), objective.sort_key(row.mean)))
    return [replace(row, tied=bool(row.scores) and is_tied(row, rows[0])) for row in rows]


def is_tied(row: Row, best: Row) -> bool:
    """Whether two mean scores are not significantly different."""
    errors = [r.std**2 / len(r.scores) for r in (row, best) if len(r.scores) > 1]
    if len(errors) < 2:
        return row.mean == best.mean
    return abs(row.mean - best.mean) <= 2 * math.sqrt(sum(errors))


def main_effects(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return the mean score of each value of each axis."""
    effects: dict[str, dict[str, float]] = {}
    for axis, values in axes.items():
        if is_replicate(axis):
            continue
        means: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row.scores:
                means[row.values[axis]].append(row.mean)
        if found := {value: statistics.fmean(means[value]) for value in values if value in means}:
            effects[axis] = found
    return effects


def range_warnings(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each axis of at least three numbers whose best value is the lowest or highest."""
    if not rows or not rows[0].scores:
        return []
    lines = []
    for axis, values in axes.items():
        numbers = {value: as_number(value) for value in values}
        tried = sorted(set(numbers.values()))
        if is_replicate(axis) or len(tried) < 3 or any(map(math.isnan, tried)):
            continue
        best = numbers[rows[0].values[axis]]
        equally_good = {numbers[row.values[axis]] for row in rows if row.mean == rows[0].mean}
        is_inside = not equally_good.isdisjoint(tried[1:-1])
        if is_inside or best == tried[0] == 0:  # such as no dropout: there is nothing below
            continue
        lines.append(f"{axis}={best:g} is the {'lowest' if best == tried[0] else 'highest'} value tried")
    return lines


def as_number(text: str) -> float:
    """Return the number in a string; NaN if it is not a finite number."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
