"""The leaderboard as a picture."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.io.figures import figure_style, write_figure
from trainyard.sweeps.leaderboard.ranking import Row, main_effects
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.controls import escape_controls

PICTURE = "leaderboard.png"
MAX_ROWS = 20


@figure_style()
def draw(sweep: StoredSweep, rows: Sequence[Row]) -> None:
    """Draw the best configurations, or the Pareto front of several objectives, above the score along each axis."""
    scored = [row for row in rows if row.scores]
    if not scored:
        return
    effects = main_effects(rows, sweep.space.axes)
    names = [axis for axis in sweep.space.axes if axis in effects or axis in sweep.space.intervals]
    several = len(sweep.objectives) > 1
    height = 3.5 if several else 1.5 + 0.3 * len(scored[:MAX_ROWS])
    figure = Figure(figsize=(9, height + 1.8 * bool(names)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[height, 2 if names else 0.01])  # type: ignore[misc]
    if several:
        draw_front(above.subplots(), scored, sweep.objectives)
    else:
        draw_best(above.subplots(), scored[:MAX_ROWS], sweep.objective)
    if names:
        for axes, name in zip(below.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
            if name in effects:
                axes.plot(list(effects[name]), list(effects[name].values()), "o-")
            else:
                axes.plot([float(row.values[name]) for row in scored], [row.mean for row in scored], "o", markersize=3)
                axes.set_xscale("log" if "log" in sweep.space.values[name][0] else "linear")
            axes.set_title(escape_controls(name, keep=""), fontsize=9)
            axes.tick_params(axis="x", labelrotation=30, labelsize=8)
            axes.grid()
    write_figure(figure, sweep.folder / PICTURE)


def draw_best(axes: Axes, rows: Sequence[Row], objective: str) -> None:
    """Draw the mean score of each configuration, with the standard deviation over its replicates."""
    names = [escape_controls(" ".join(row.values.values()), keep="") or "all runs" for row in rows]
    for place, row in enumerate(rows):
        std = 0.0 if math.isnan(row.std) else row.std
        axes.errorbar(row.mean, place, xerr=std, fmt="o", color="tab:blue" if row.tied else "tab:gray", capsize=3)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlabel(f"{objective}; blue: not significantly different from the best")
    axes.grid(axis="x")


def draw_front(axes: Axes, rows: Sequence[Row], objectives: Sequence[str]) -> None:
    """Draw each configuration by its first two objectives, and the Pareto front."""
    first, second = objectives[:2]
    for on_front, style, color in ((False, "o", "tab:gray"), (True, "o-", "tab:blue")):
        points = sorted((row.mean_of(second), row.mean_of(first)) for row in rows if row.on_front is on_front)
        axes.plot([x for x, _ in points], [y for _, y in points], style, color=color)
    axes.set_xlabel(f"{second}; blue: no other is better in all objectives")
    axes.set_ylabel(first)
    axes.grid()
