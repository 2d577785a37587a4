"""The columns of a table, drawn class by class."""

import math
from operator import itemgetter
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column
from trainyard.figures import save

MOST = 24  # columns
ACROSS = 4  # columns beside each other
BINS = 24
OVERLAID = 4  # classes whose histograms can be told apart when they lie over each other; more are stacked
SHOWN = 10  # classes and levels, the most frequent


@rc_context({"text.parse_math": False})  # a $ in a name is a $
def draw_columns(data: DataModule) -> None:
    """Draw how the training rows of each class are spread over each column."""
    train = data.splits["train"]
    x, classes = train.x, data.spec.classes
    assert isinstance(x, Tensor)
    labels = train.y.bincount(minlength=len(classes)).argsort(descending=True, stable=True)[:SHOWN].sort().values
    columns = data.spec.columns[:MOST]
    across = min(ACROSS, len(columns))
    rows = math.ceil(len(columns) / across)
    figure = Figure(figsize=(3.2 * across + 0.5, 2.4 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for number, axis in enumerate(axes):
        if number >= len(columns):
            axis.set_axis_off()
            continue
        values = [x[train.y == label, number] for label in labels]
        draw = draw_levels if columns[number].levels else draw_numbers
        draw(axis, values, columns[number])
        axis.set_title(columns[number].name, fontsize=9)
        axis.tick_params(labelsize=8)
    names = [classes[label] for label in labels]
    figure.legend(marks(axes[0]), names, loc="outside lower center", ncols=5, fontsize=8)
    some = "" if len(classes) <= SHOWN else f" of the {SHOWN} most frequent classes"
    figure.suptitle(f"training rows{some}, by column", fontsize=10)
    save(figure, "show/data.png")


def marks(axis: Axes) -> list[Any]:
    """Return what was drawn of each class, in the order of the classes; Matplotlib may have drawn the last first."""
    handles, numbers = axis.get_legend_handles_labels()
    return [handle for _, handle in sorted(zip(map(int, numbers), handles, strict=True), key=itemgetter(0))]


def draw_numbers(axis: Axes, values: list[Tensor], column: Column) -> None:
    """Draw a histogram a class, on the same bins."""
    known = [part[~part.isnan()].double() for part in values]
    whole = torch.cat(known)
    low, high = (whole.min().item(), whole.max().item()) if len(whole) else (0.0, 1.0)
    parts, names = [part.numpy() for part in known], list(map(str, range(len(known))))
    if len(known) <= OVERLAID:
        axis.hist(parts, bins=BINS, range=(low, high), label=names, histtype="stepfilled", alpha=0.5)
    else:
        axis.hist(parts, bins=BINS, range=(low, high), label=names, histtype="barstacked", alpha=0.8)


def draw_levels(axis: Axes, values: list[Tensor], column: Column) -> None:
    """Draw a bar a level and class, side by side; missing values and rare levels are left out."""
    counts = torch.stack([part.long().bincount(minlength=len(column.levels) + 1)[1:] for part in values])  # [K, levels]
    order = counts.sum(0).argsort(descending=True, stable=True)[:SHOWN]
    for number, heights in enumerate(counts[:, order]):
        width = 0.8 / len(values)
        axis.bar(torch.arange(len(order)) + number * width, heights.numpy(), width, alpha=0.7, label=str(number))
    names = [column.levels[level][:12] for level in order]
    axis.set_xticks((torch.arange(len(order)) + 0.4 - 0.4 / len(values)).tolist(), names, rotation=30, ha="right")
