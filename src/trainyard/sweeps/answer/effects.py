"""What each axis of a sweep does to the score, and whether its best value lies on the edge of what was tried."""

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence

from trainyard.sweeps.answer.leaderboard import Row
from trainyard.sweeps.search_space import is_replicate


def main_effects(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return the mean score of each value of each axis, over all configurations that have it, where any has a score."""
    effects: dict[str, dict[str, float]] = {}
    for axis, values in axes.items():
        if is_replicate(axis):
            continue
        means = {value: [row.mean for row in rows if row.scores and row.values[axis] == value] for value in values}
        effects[axis] = {value: statistics.mean(found) for value, found in means.items() if found}
    return {axis: effect for axis, effect in effects.items() if effect}


def edges(rows: Sequence[Row], axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a line for each numeric axis on whose edge the best configuration lies, and the command to try next."""
    lines: list[str] = []
    further: dict[str, list[str]] = {}
    for axis, values in axes.items() if rows and rows[0].scores else ():
        numbers = {value: number for value in values if (number := as_number(value)) is not None}
        if is_replicate(axis) or len(numbers) < len(values) or len(set(numbers.values())) < 3:
            continue
        best, order = numbers[rows[0].values[axis]], sorted(set(numbers.values()))
        if best not in (order[0], order[-1]) or best == 0 == order[0]:  # below nothing there is nothing
            continue
        if any(row.mean == rows[0].mean and numbers[row.values[axis]] in order[1:-1] for row in rows):
            continue  # a value within what was tried is as good
        inner = order[1] if best == order[0] else order[-2]
        further[axis] = beyond(best, inner)
        lines.append(f"{axis}={best:g} is the {'lowest' if best == order[0] else 'highest'} value tried")
    return [*lines, f"go on with: {command(rows[0], axes, further)}"] if lines else []


def command(row: Row, axes: Mapping[str, Sequence[str]], values: Mapping[str, Sequence[str]]) -> str:
    """Return the command that runs a configuration with other values of some axes, and with all of its replicates."""
    words = ["python", "train.py", "-m"]
    repeats = {axis: several for axis, several in axes.items() if is_replicate(axis)}
    for override in row.best.overrides:
        key = override.partition("=")[0]
        several = {**repeats, **values}.get(key)
        words.append(f"{key}={','.join(several)}" if several else override)
    return shlex.join(words)


def as_number(text: str) -> float | None:
    """Return the number that a text is, if it is one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def beyond(best: float, inner: float) -> list[str]:
    """Return the best value and two more beyond it, in steps like that to its neighbour."""
    whole = float(best).is_integer() and float(inner).is_integer()
    if best > 0 and inner > 0:
        further = [best, best * best / inner, best * (best / inner) ** 2]
    else:
        further = [best, 2 * best - inner, 3 * best - 2 * inner]
    return list(dict.fromkeys(f"{round(number)}" if whole and number >= 1 else f"{number:.3g}" for number in further))
