"""The worst predictions of a split: their images, or their rows as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.io.figures import figure_style
from trainyard.reports.split_predictions import SplitPredictions
from trainyard.terminal.tables import markdown_table

ACROSS = 4  # images in a row


@dataclass(frozen=True)
class WorstExamples:
    """The worst predictions of a split, the worst one first."""

    positions: list[int]  # in the split
    names: list[str]  # of the examples: files, or rows of the source
    inputs: Tensor  # images uint8 [M, C, H, W] or rows [M, F]
    spec: DataSpec


@figure_style()
def mistakes_figure(predictions: SplitPredictions, positions: Sequence[int], images: Tensor) -> Figure:
    """Draw images, uint8 `[M, C, H, W]`, with what is predicted and what is true."""
    rows = math.ceil(len(positions) / ACROSS)
    figure = Figure(figsize=(1.9 * ACROSS, 2.3 * rows))
    figure.subplots_adjust(0.02, 0.02, 0.98, 1 - 0.2 / rows, wspace=0.05, hspace=0.35)
    axes = figure.subplots(rows, ACROSS, squeeze=False).flatten()
    for axis in axes:
        axis.axis("off")
    for axis, position, image in zip(axes, positions, images.permute(0, 2, 3, 1), strict=False):
        axis.imshow(image.expand(-1, -1, 3).numpy(), aspect="equal")
        axis.set_title(predictions.caption(position), fontsize=8)
    return figure


def mistakes_table(
    predictions: SplitPredictions, positions: Sequence[int], rows: Tensor, spec: DataSpec, names: Sequence[str] = ()
) -> str:
    """Return rows `[M, F]` as a Markdown table, with what is predicted, what is true, and their names if given."""
    lines = []
    for place, (position, row) in enumerate(zip(positions, rows.tolist(), strict=True)):
        values = [original_value(column, number) for column, number in zip(spec.columns, row, strict=True)]
        lines.append([*names[place : place + 1], *predictions.describe(position), *values])
    first = ["example"] if names else []
    return markdown_table([*first, *predictions.columns, *(column.name for column in spec.columns)], lines)


def original_value(column: Column, number: float) -> str:
    """Return a value as in the table; empty if it was missing."""
    if column.levels:
        return column.levels[int(number) - 1] if number >= 1 else ""
    return "" if math.isnan(number) else f"{number:.6g}"
