"""The curves of runs beside each other, from their tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.errors import ConfigError, did_you_mean, listing, reject
from trainyard.figures import save
from trainyard.history.find_run import find_run
from trainyard.history.stored_run import StoredRun
from trainyard.metrics_csv import read_curves
from trainyard.sweeps.stored import StoredSweep

PANELS = ("loss", "acc")
SHOWN = 10  # configurations of a sweep, as many as there are colours
WIDE = 100  # the ratio of largest and least value from which an axis is logarithmic
LONG = 30  # letters of a label; longer ones stand below each other
STYLES = {"train": "--", "val": "-"}


@dataclass(frozen=True)
class Course:
    """What a run logged.

    Attributes:
        label: what sets it apart from the others.
        columns: points of each column of its table: epochs that had passed, possibly a fraction, and values.
    """

    label: str
    columns: Mapping[str, Sequence[tuple[float, float]]]


def draw(names: Sequence[str], panels: Sequence[str] = ()) -> None:
    """Draw curves of runs, and of the best configurations of sweeps, into `outputs/draw/curves.png`.

    Args:
        names: of runs or sweeps, as a person names them.
        panels: a chart each: a column such as `val/loss`, or a part of columns' names, such as `loss` or `lr`.

    Raises:
        ConfigError: no such run, one without a table, or no such column.
    """
    courses = [course for name in names for course in courses_of(name)]
    labels = list(dict.fromkeys(course.label for course in courses))
    figure = Figure(figsize=(4.8 * len(panels or PANELS), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels or PANELS), squeeze=False)[0]
    for axis, panel in zip(axes, panels or PANELS, strict=True):
        for course in courses:
            for name in matching(panel, course.columns):
                style = STYLES.get(name.partition("/")[0], "-")
                colour = f"C{labels.index(course.label) % SHOWN}"
                epochs, values = zip(*course.columns[name], strict=True)
                axis.plot(epochs, values, style, color=colour, marker="." if len(values) == 1 else "")
        finish(axis, panel, courses)
    explain(axes[0], labels)
    save(figure, "draw/curves.png")


def courses_of(name: str) -> list[Course]:
    """Return what a run logged, or what the jobs of the best configurations of a sweep did."""
    try:
        sweep = StoredSweep.find(name)
    except ConfigError as no_sweep:
        try:
            run = find_run(name)
        except ConfigError as no_run:
            raise no_run from no_sweep
        return [course_of(run, run.name)]
    rows = [row for row in sweep.rows if any(read_curves(job.folder) for job in row.jobs)]
    if not rows:
        raise reject("SWEEP", name, "no job of it has a table yet", "a sweep that has begun")
    if len(rows) > SHOWN:
        print(f"drawn      the best {SHOWN} of {len(rows)} configurations")
    best = [(row, job) for row in rows[:SHOWN] for job in row.jobs if read_curves(job.folder)]
    return [course_of(StoredRun(job.folder), short(row.values) or sweep.folder.name) for row, job in best]


def short(values: Mapping[str, str]) -> str:
    """Return what was chosen, by the last part of each key."""
    return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())


def course_of(run: StoredRun, label: str) -> Course:
    """Return the columns of a run's table over the epochs, which follow from the steps at the end of the last one."""
    columns = read_curves(run.folder)
    epochs = read_curves(run.folder, by="epoch").get("train/loss")
    if not epochs:
        raise reject("RUN", run.name, "it has no metrics.csv with an epoch", "a run that has ended an epoch")
    length = (max(columns["train/loss"]) + 1) / (max(epochs) + 1)
    return Course(
        label, {name: [((at + 1) / length, y) for at, y in points.items()] for name, points in columns.items()}
    )


def matching(panel: str, columns: Mapping[str, Sequence[tuple[float, float]]]) -> list[str]:
    """Return the columns that a chart shows; of those that are equal, the first.

    Raises:
        ConfigError: there is none.
    """
    names = [name for name in columns if name == panel or (panel in name.split("/") and not name.startswith("test/"))]
    if not names:
        known = sorted({*columns, *PANELS, *(part for name in columns for part in name.split("/"))})
        raise reject("--of", panel, f"no such column{did_you_mean(panel, known)}", listing(sorted(columns)))
    return [name for place, name in enumerate(names) if columns[name] not in [columns[n] for n in names[:place]]]


def finish(axis: Axes, panel: str, courses: Sequence[Course]) -> None:
    """Name a chart, and give it a logarithmic axis where its values are far apart."""
    named = {name for course in courses for name in matching(panel, course.columns)}
    values = [y for course in courses for name in named & {*course.columns} for _, y in course.columns[name]]
    finite = [value for value in values if math.isfinite(value)]
    relative = not {"acc", "lr"} & {*panel.split("/")}  # of those two, what is near 0 is not worth a look
    if relative and finite and min(finite) > 0 and max(finite) / min(finite) > WIDE:
        axis.set_yscale("log")
    axis.set(xlabel="epoch", title=panel)
    axis.grid(alpha=0.3)
    for style, prefix in (("--", "train"), ("-", "val")):
        if len(named) > 1 and any(name.startswith(f"{prefix}/") for name in named):
            axis.plot([], [], style, color="gray", label=prefix)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8)


def explain(axis: Axes, labels: Sequence[str]) -> None:
    """Say which colour is which run; nothing where there is one."""
    if len(labels) > 1:
        lines = [axis.plot([], [], color=f"C{place % SHOWN}")[0] for place in range(len(labels))]
        columns = 1 if max(map(len, labels)) > LONG else 3
        axis.figure.legend(lines, labels, loc="outside lower center", ncols=columns, fontsize=8)
