"""A leaderboard as a picture."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.files import replacing
from trainyard.sweeps.answer.leaderboard import Row
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.controls import escape_controls

FILE = "leaderboard.png"
SHOWN = 20  # configurations


def draw(sweep: StoredSweep, rows: Sequence[Row], effects: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the best configurations, or how they trade objectives off, and below the score along each axis."""
    scored = [row for row in rows if row.scores]
    if not scored:
        return
    drawn = [axis for axis in sweep.space.axes if axis in effects or axis in sweep.space.intervals]
    several = len(sweep.objectives) > 1
    height = 3.5 if several else 1.5 + 0.3 * len(scored[:SHOWN])
    figure = Figure(figsize=(9, height + 1.8 * bool(drawn)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[height, 2 if drawn else 0.01])  # type: ignore[misc]
    if several:
        draw_front(above.subplots(), scored, sweep.objectives)
    else:
        draw_best(above.subplots(), scored[:SHOWN], sweep.objective)
    if drawn:
        for axis, name in zip(below.subplots(1, len(drawn), sharey=True, squeeze=False)[0], drawn, strict=True):
            if name in effects:
                axis.plot(list(effects[name]), list(effects[name].values()), "o-")
            else:
                axis.plot([float(row.values[name]) for row in scored], [row.mean for row in scored], "o", markersize=3)
                axis.set_xscale("log" if "log" in sweep.space.values[name][0] else "linear")
            axis.set_title(escape_controls(name, keep=""), fontsize=9)
            axis.tick_params(axis="x", labelrotation=30, labelsize=8)
            axis.grid(alpha=0.3)
    with replacing(sweep.folder / FILE) as draft:
        figure.savefig(draft, format="png", dpi=110)


def draw_best(axis: Axes, rows: Sequence[Row], objective: str) -> None:
    """Draw the score of each configuration, with its spread over the seeds."""
    names = [escape_controls(" ".join(row.values.values()), keep="") or "all runs" for row in rows]
    for place, row in enumerate(rows):
        spread = 0.0 if math.isnan(row.std) else row.std
        axis.errorbar(row.mean, place, xerr=spread, fmt="o", color="tab:blue" if row.tied else "tab:gray", capsize=3)
    axis.set_yticks(range(len(rows)), names)
    axis.invert_yaxis()
    axis.set_xlabel(f"{objective}; blue: not significantly different from the best")
    axis.grid(axis="x", alpha=0.3)


def draw_front(axis: Axes, rows: Sequence[Row], objectives: Sequence[str]) -> None:
    """Draw each configuration by its first two objectives, and the front of those that no other is better than."""
    first, second = objectives[:2]
    places = [(row.mean_of(second), row.mean_of(first), row.on_front) for row in rows]
    axis.plot(
        [x for x, _, front in places if not front], [y for _, y, front in places if not front], "o", color="tab:gray"
    )
    front = sorted((x, y) for x, y, front in places if front)
    axis.plot([x for x, _ in front], [y for _, y in front], "o-", color="tab:blue")
    axis.set_xlabel(f"{second}; blue: no other is better in all objectives")
    axis.set_ylabel(first)
    axis.grid(alpha=0.3)
