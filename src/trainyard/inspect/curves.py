"""`draw curves`: the curves of runs, and of the best configurations of sweeps, over the epochs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.config.composition import load_root
from trainyard.config.objective import known_mode, split_stage
from trainyard.history.find_run import find_run
from trainyard.history.scores import objective_of
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.figures import figure_style, save_figure
from trainyard.run.metrics_csv import read_curves
from trainyard.sweeps.stored import StoredSweep

MAX_PANELS = 6  # by default
PANELS_IN_ROW = 3
# `val/loss`, `val_loss`, `train/loss_epoch` and `val/loss/dataloader_idx_1` are drawn together.
ENDINGS = re.compile(r"(?<=.)(_step|_epoch)?(/dataloader_idx_\d+)?$")
MONITORED = ("lr", "gradient/")  # columns of callbacks
MAX_ROWS = 10  # configurations of a sweep, as many as there are colours
LOG_RATIO = 100  # of the largest and the smallest value, above which an axis is logarithmic

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunCurves:
    """The curves of a run."""

    label: str  # in the legend
    columns: Mapping[str, Points]  # completed epochs, possibly fractional, and values of each column of metrics.csv
    objective: str = ""  # the metric that selects the best epoch


@figure_style()
def draw(names: Sequence[str], panels: Sequence[str] = ()) -> None:
    """Draw curves of runs and of the best configurations of sweeps into `outputs/draw/curves.png`.

    Each of the `panels` is a column of metrics.csv, such as `val/loss`, or a part of names, such as `loss` or `lr`; by
    default, every metric of training or validation.
    """
    curves = [run for name in names for run in load_curves(name)]
    labels = list(dict.fromkeys(run.label for run in curves))
    panels = panels or default_panels(curves)
    for panel in panels:
        check_panel(panel, curves)
    rows, columns = math.ceil(len(panels) / PANELS_IN_ROW), min(len(panels), PANELS_IN_ROW)
    figure = Figure(figsize=(4.8 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    colours = {label: f"C{number % MAX_ROWS}" for number, label in enumerate(labels)}
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes, panels, strict=False):
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
    last_steps: dict[float, int] = {}  # of each epoch; Lightning logs the metrics of the test as a further epoch
    for step, epoch in sorted(columns.pop("epoch", {}).items()):
        last_steps[epoch] = step
    if not last_steps:
        raise config_error("RUN", run.name, "it has no metrics.csv with an epoch", "a run that has completed an epoch")
    epoch = sorted(last_steps)[-2:][0]  # the last one may be incomplete
    epoch_steps = (last_steps[epoch] + 1) / (epoch + 1)
    curves = {}
    for name, values in columns.items():
        curves[name] = [((step + 1) / epoch_steps, value) for step, value in values.items()]
    return RunCurves(label, curves, objective_of(run))


def split_name(column: str) -> tuple[str, str]:
    """Return stage and metric of a column, see `split_stage`, without what Lightning appends."""
    stage, metric = split_stage(column)
    return stage, ENDINGS.sub("", metric, count=1)


def default_panels(curves: Sequence[RunCurves]) -> list[str]:
    """Return the metrics of training and validation: losses, objectives, and others."""
    names = {name for run in curves for name in run.columns if not name.startswith(MONITORED)}
    metrics = {metric: None for stage, metric in sorted(map(split_name, names)) if stage != "test"}
    if not metrics:
        raise config_error("RUN", curves[0].label, "its metrics.csv has no metrics", "a run that logs metrics")
    objectives = {split_name(run.objective)[1] for run in curves}
    return sorted(metrics, key=lambda metric: ("loss" not in metric, metric not in objectives))[:MAX_PANELS]


def matching_columns(panel: str, columns: Mapping[str, Points]) -> list[str]:
    """Return the columns that belong to a panel, without those that equal an earlier one."""
    distinct: dict[str, Points] = {}
    for name, points in columns.items():
        stage, metric = split_name(name)
        belongs = name == panel or (stage != "test" and panel in (metric, *name.split("/")))
        if belongs and points not in distinct.values():
            distinct[name] = points
    return list(distinct)


def check_panel(panel: str, curves: Sequence[RunCurves]) -> None:
    """Raise a ConfigError if no run has a column that belongs to a panel."""
    if any(matching_columns(panel, run.columns) for run in curves):
        return
    columns = sorted({name for run in curves for name in run.columns})
    known = sorted({*columns, *(part for name in columns for part in (split_name(name)[1], *name.split("/")))})
    raise config_error("--of", panel, f"no such column{did_you_mean(panel, known)}", join_limited(columns))


def draw_panel(axis: Axes, panel: str, curves: Sequence[RunCurves], colours: Mapping[str, str]) -> None:
    """Draw the runs that have a column of a panel; the scale is logarithmic if the values differ by magnitudes."""
    names: set[str] = set()
    finite: list[float] = []
    for run in curves:
        for name in matching_columns(panel, run.columns):
            names.add(name)
            epochs, values = zip(*run.columns[name], strict=True)
            finite += filter(math.isfinite, values)
            style, marker = "--" if split_name(name)[0] == "train" else "-", "." if len(values) == 1 else ""
            axis.plot(epochs, values, style, color=colours[run.label], marker=marker)
    wide = finite and min(finite) > 0 and max(finite) / min(finite) > LOG_RATIO
    if wide and not is_linear(panel):
        axis.set_yscale("log")
    axis.set(xlabel="epoch", title=panel)
    axis.grid()
    stages = {split_name(name)[0] for name in names}
    for style, stage in (("--", "train"), ("-", "val")):
        if len(names) > 1 and any(other.startswith(stage) for other in stages):
            axis.plot([], [], style, color="gray", label=stage)
    if axis.get_legend_handles_labels()[1]:
        axis.legend()


def is_linear(panel: str) -> bool:
    """Return whether small values do not matter: rates, and metrics of which larger values are better."""
    modes = load_root().get("metric_modes") or {}
    return any(part == "lr" or known_mode(part, modes) == "max" for part in panel.split("/"))
