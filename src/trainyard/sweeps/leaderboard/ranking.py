"""The configurations of a sweep from best to worst, and the effect of each axis."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trainyard.config.composition import objective_mode
from trainyard.run.run_directory import STATUSES
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
    objective: str
    tied: bool = False

    @property
    def completed(self) -> list[Job]:
        """The completed jobs."""
        return [job for job in self.jobs if job.score is not None]

    @property
    def scores(self) -> list[float]:
        """The best validation scores of the completed jobs."""
        return [job.score for job in self.jobs if job.score is not None]

    @property
    def is_complete(self) -> bool:
        """Whether all jobs are completed: a mean over some folds is not comparable."""
        return len(self.scores) == len(self.jobs)

    @property
    def has_ended(self) -> bool:
        """Whether no job is left to run."""
        return all(job.status in STATUSES and job.status != "interrupted" for job in self.jobs)

    @property
    def mean(self) -> float:
        """The mean score; NaN without completed jobs."""
        return statistics.mean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """The standard deviation over the replicates; NaN for a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    @property
    def by_score(self) -> list[Job]:
        """The completed jobs, the best first."""
        return sorted(self.completed, key=lambda job: (sort_key(self.objective, job.score), job.number))

    @property
    def best(self) -> Job:
        """The completed job with the best score; the first job if none is completed."""
        return next(iter(self.by_score), self.jobs[0])

    @property
    def status(self) -> str:
        """The status of all jobs, or the number of jobs of each status."""
        statuses = [job.status for job in self.jobs]
        if len(set(statuses)) == 1:
            return statuses[0]
        return ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))


def leaderboard(jobs: Sequence[Job], axes: Sequence[str], objective: str) -> list[Row]:
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
    rows.sort(key=lambda row: (not row.scores, not row.is_complete, sort_key(objective, row.mean)))
    return [replace(row, tied=bool(row.scores) and is_tied(row, rows[0])) for row in rows]


def sort_key(objective: str, score: float | None) -> float:
    """Return a number that is smaller for better scores; 0 for NaN or none."""
    if score is None or math.isnan(score):
        return 0.0
    return -score if objective_mode(objective) == "max" else score


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
        means = {value: [row.mean for row in rows if row.scores and row.values[axis] == value] for value in values}
        if effect := {value: statistics.mean(scores) for value, scores in means.items() if scores}:
            effects[axis] = effect
    return effects


def range_warnings(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each axis of at least three numbers whose best value is the lowest or highest."""
    lines: list[str] = []
    for axis, values in axes.items() if rows and rows[0].scores else ():
        numbers = {value: number for value in values if (number := as_number(value)) is not None}
        if is_replicate(axis) or len(numbers) < len(values) or len(set(numbers.values())) < 3:
            continue
        best, low, high = numbers[rows[0].values[axis]], min(numbers.values()), max(numbers.values())
        as_good = [numbers[row.values[axis]] for row in rows if row.mean == rows[0].mean]
        if best not in (low, high) or best == 0 == low or any(low < number < high for number in as_good):
            continue
        lines.append(f"{axis}={best:g} is the {'lowest' if best == low else 'highest'} value tried")
    return lines


def as_number(text: str) -> float | None:
    """Return the finite number in a text, if it is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
