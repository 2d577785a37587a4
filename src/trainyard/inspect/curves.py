"""`draw curves`: the curves of runs, and of the best configurations of sweeps, over the epochs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.history.find_run import find_run
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.figures import figure_style, save_figure
from trainyard.run.metrics_csv import read_curves
from trainyard.sweeps.stored import StoredSweep

PANELS = ("loss", "acc")
MAX_ROWS = 10  # configurations of a sweep, as many as there are colours
LOG_RATIO = 100  # of the largest and the smallest value, above which an axis is logarithmic

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunCurves:
    """The curves of a run."""

    label: str  # in the legend
    columns: Mapping[str, Points]  # completed epochs, possibly fractional, and values of each column of metrics.csv


@figure_style()
def draw(names: Sequence[str], panels: Sequence[str] = ()) -> None:
    """Draw curves of runs and of the best configurations of sweeps into `outputs/draw/curves.png`.

    Each of the `panels` is a column of metrics.csv, such as `val/loss`, or a part of names, such as `loss` or `lr`.
    """
    curves = [run for name in names for run in load_curves(name)]
    labels = list(dict.fromkeys(run.label for run in curves))
    panels = panels or PANELS
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    colours = {label: f"C{number % MAX_ROWS}" for number, label in enumerate(labels)}
    for axis, panel in zip(axes, panels, strict=True):
        draw_panel(axis, panel, curves, colours)
    if len(labels) > 1:
        lines = [axes[0].plot([], [], color=colour)[0] for colour in colours.values()]
        figure.legend(lines, labels, loc="outside lower center", ncols=1 if max(map(len, labels)) > 30 else 3)
    save_figure(figure, "draw/curves.png")


def load_curves(name: str) -> list[RunCurves]:
    """Return the curves of a run, or of the jobs of the best configurations of a sweep."""
    try:
        sweep = StoredSweep.find(name)
    except ConfigError:
        run = find_run(name)
        return [run_curves(run, run.name)]
    rows = [row for row in sweep.rows if any(read_curves(job.folder) for job in row.jobs)]
    if not rows:
        raise config_error("SWEEP", name, "no job of it has a metrics.csv yet", "a sweep that has started")
    if len(rows) > MAX_ROWS:
        print(f"drawn      the best {MAX_ROWS} of {len(rows)} configurations")
    curves = []
    for row in rows[:MAX_ROWS]:
        label = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in row.values.items()) or sweep.folder.name
        curves += [run_curves(StoredRun(job.folder), label) for job in row.jobs if read_curves(job.folder)]
    return curves


def run_curves(run: StoredRun, label: str) -> RunCurves:
    """Return the columns of a run's metrics.csv over the epochs, which are computed from the steps."""
    columns = read_curves(run.folder)
    epochs = read_curves(run.folder, by="epoch").get("train/loss")
    if not epochs:
        raise config_error("RUN", run.name, "it has no metrics.csv with an epoch", "a run that has completed an epoch")
    epoch_steps = (max(columns["train/loss"]) + 1) / (max(epochs) + 1)
    curves = {}
    for name, values in columns.items():
        curves[name] = [((step + 1) / epoch_steps, value) for step, value in values.items()]
    return RunCurves(label, curves)


def matching_columns(panel: str, columns: Mapping[str, Points]) -> list[str]:
    """Return the columns that belong to a panel, without those that equal an earlier one."""
    distinct: dict[str, Points] = {}
    for name, points in columns.items():
        belongs = name == panel or (panel in name.split("/") and not name.startswith("test/"))
        if belongs and points not in distinct.values():
            distinct[name] = points
    if not distinct:
        known = sorted({*columns, *PANELS, *(part for name in columns for part in name.split("/"))})
        raise config_error("--of", panel, f"no such column{did_you_mean(panel, known)}", join_limited(sorted(columns)))
    return list(distinct)


def draw_panel(axis: Axes, panel: str, curves: Sequence[RunCurves], colours: Mapping[str, str]) -> None:
    """Draw one panel; its scale is logarithmic if the values differ by orders of magnitude."""
    names: set[str] = set()
    finite: list[float] = []
    for run in curves:
        for name in matching_columns(panel, run.columns):
            names.add(name)
            epochs, values = zip(*run.columns[name], strict=True)
            finite += filter(math.isfinite, values)
            style, marker = "--" if name.startswith("train/") else "-", "." if len(values) == 1 else ""
            axis.plot(epochs, values, style, color=colours[run.label], marker=marker)
    linear = {"acc", "lr"} & {*panel.split("/")}  # a logarithmic scale would stress values near 0
    if not linear and finite and min(finite) > 0 and max(finite) / min(finite) > LOG_RATIO:
        axis.set_yscale("log")
    axis.set(xlabel="epoch", title=panel)
    axis.grid()
    for style, prefix in (("--", "train"), ("-", "val")):
        if len(names) > 1 and any(name.startswith(f"{prefix}/") for name in names):
            axis.plot([], [], style, color="gray", label=prefix)
    if axis.get_legend_handles_labels()[1]:
        axis.legend()
