"""The configurations of a sweep from best to worst, the effect of each axis, and which values to try next."""

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from trainyard.run.run_directory import ENDS
from trainyard.sweeps.job import Job
from trainyard.sweeps.options import mode_of
from trainyard.sweeps.search_space import is_replicate


@dataclass(frozen=True)
class Row:
    """One configuration, with the jobs of all its replicates.

    Attributes:
        values: of the keys that vary, without replicates.
        tied: whether its score is not significantly different from the best one.
        on_front: with several objectives, whether no other configuration is better in all of them.
    """

    values: dict[str, str]
    jobs: Sequence[Job]
    objective: str
    tied: bool = False
    on_front: bool = False

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
        return all(job.status in ENDS and job.status != "interrupted" for job in self.jobs)

    @property
    def mean(self) -> float:
        """The mean score; NaN without completed jobs."""
        return statistics.mean(self.scores) if self.scores else math.nan

    @property
    def std(self) -> float:
        """The standard deviation over the replicates; NaN for a single one."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else math.nan

    def mean_of(self, objective: str) -> float:
        """Return the mean of a metric, or of a cost, over the completed jobs."""
        return statistics.mean(job.measure(objective) for job in self.completed)

    @property
    def by_score(self) -> list[Job]:
        """The completed jobs, the best first."""
        return sorted(self.completed, key=lambda job: (cost(self.objective, job.score), job.number))

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


def leaderboard(jobs: Sequence[Job], axes: Sequence[str], objectives: Sequence[str]) -> list[Row]:
    """Return the configurations: by mean score, then those that lack jobs, then those without a score.

    With several objectives, those on the Pareto front come first. Configurations with several replicates are tied with
    the best if the means differ by at most two standard errors of the difference (Welch), others if they are equal.
    """
    groups: dict[tuple[str, ...], list[Job]] = {}
    keys = [axis for axis in axes if not is_replicate(axis)]
    for job in jobs:
        values = dict(override.partition("=")[::2] for override in job.overrides)
        groups.setdefault(tuple(values[key] for key in keys), []).append(job)
    rows = [Row(dict(zip(keys, values, strict=True)), group, objectives[0]) for values, group in groups.items()]
    rows.sort(key=lambda row: (not row.scores, not row.is_complete, cost(objectives[0], row.mean)))
    rows = [replace(row, tied=bool(row.scores) and is_tied(row, rows[0])) for row in rows]
    if len(objectives) == 1:
        return rows
    return sorted(mark_front(rows, objectives), key=lambda row: not row.on_front)


def cost(objective: str, score: float | None) -> float:
    """Return a score as a number to minimize; 0 for NaN or none."""
    if score is None or math.isnan(score):
        return 0.0
    return -score if mode_of(objective) == "max" else score


def mark_front(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """Return the rows with `on_front`. Incomplete configurations are compared only if there are no others."""
    compared = [row for row in rows if row.is_complete] or [row for row in rows if row.scores]
    points = {id(row): [cost(name, row.mean_of(name)) for name in objectives] for row in compared}

    def is_dominated(point: list[float]) -> bool:
        others = [other for other in points.values() if other != point]
        return any(all(theirs <= own for theirs, own in zip(other, point, strict=True)) for other in others)

    return [replace(row, on_front=id(row) in points and not is_dominated(points[id(row)])) for row in rows]


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
        if effect := {value: statistics.mean(found) for value, found in means.items() if found}:
            effects[axis] = effect
    return effects


def suggest_values(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each numeric axis whose best value is the lowest or highest, and the command to try next."""
    lines: list[str] = []
    further: dict[str, list[str]] = {}
    for axis, values in axes.items() if rows and rows[0].scores else ():
        numbers = {value: number for value in values if (number := as_number(value)) is not None}
        if is_replicate(axis) or len(numbers) < len(values) or len(set(numbers.values())) < 3:
            continue
        best, order = numbers[rows[0].values[axis]], sorted(set(numbers.values()))
        if best not in (order[0], order[-1]) or best == 0 == order[0]:
            continue
        if any(row.mean == rows[0].mean and numbers[row.values[axis]] in order[1:-1] for row in rows):
            continue  # an inner value is as good
        further[axis] = values_beyond(best, order[1] if best == order[0] else order[-2])
        lines.append(f"{axis}={best:g} is the {'lowest' if best == order[0] else 'highest'} value tried")
    if not lines:
        return []
    words = ["python", "train.py", "-m"]
    several = {**{axis: values for axis, values in axes.items() if is_replicate(axis)}, **further}
    for override in rows[0].best.overrides:
        key = override.partition("=")[0]
        words.append(f"{key}={','.join(several[key])}" if key in several else override)
    return [*lines, f"try next: {shlex.join(words)}"]


def as_number(text: str) -> float | None:
    """Return the finite number in a text, if it is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def values_beyond(best: float, inner: float) -> list[str]:
    """Return the best value and two more beyond it, in steps like the one to its neighbour."""
    are_integers = best.is_integer() and inner.is_integer()
    if best > 0 and inner > 0:
        numbers = [best, best * best / inner, best * (best / inner) ** 2]
    else:
        numbers = [best, 2 * best - inner, 3 * best - 2 * inner]
    return list(dict.fromkeys(f"{round(n)}" if are_integers and n >= 1 else f"{n:.3g}" for n in numbers))
