"""The mistakes that a model was most sure of."""

import math

from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.evaluation.markdown import markdown_table
from trainyard.evaluation.predictions import Predictions

SHOWN = 16
COLUMNS = 4  # pictures beside each other


def worst_mistakes(predictions: Predictions) -> list[int]:
    """Return the places of the mistakes, those of highest confidence first, at most `SHOWN`."""
    wrong = (~predictions.hits).nonzero().flatten()
    order = predictions.confidence[wrong].argsort(descending=True, stable=True)
    return wrong[order][:SHOWN].tolist()


def said(predictions: Predictions, place: int) -> tuple[str, str, str]:
    """Return what was predicted, how sure it was, and what is true."""
    names = predictions.classes
    predicted, true = names[int(predictions.predicted[place])], names[int(predictions.labels[place])]
    return predicted, f"{float(predictions.confidence[place]):.0%}", true


def mistakes_figure(predictions: Predictions, places: list[int], images: Tensor) -> Figure:
    """Draw images `[M, C, H, W]`, uint8, each with what was predicted and what is true."""
    rows = math.ceil(len(places) / COLUMNS)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.3 * rows))
    figure.subplots_adjust(0.02, 0.02, 0.98, 1 - 0.2 / rows, wspace=0.05, hspace=0.35)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for axis in axes:
        axis.axis("off")
    for axis, place, image in zip(axes, places, images.permute(0, 2, 3, 1), strict=False):
        predicted, sure, true = said(predictions, place)
        axis.imshow(image.expand(-1, -1, 3).numpy(), aspect="equal")
        axis.set_title(f"{predicted} {sure}\nis {true}", fontsize=8)
    return figure


def mistakes_table(predictions: Predictions, places: list[int], rows: Tensor, spec: DataSpec) -> str:
    """Return rows `[M, F]` as a Markdown table, each with what was predicted and what is true."""
    head = ["predicted", "sure", "true", *(column.name for column in spec.columns)]
    lines = []
    for place, row in zip(places, rows.tolist(), strict=True):
        values = [value_of(column, number) for column, number in zip(spec.columns, row, strict=True)]
        lines.append([*said(predictions, place), *values])
    return markdown_table(head, lines)


def value_of(column: Column, number: float) -> str:
    """Return a number of a row as the table had it; nothing where it was missing."""
    if column.levels:
        return column.levels[int(number) - 1] if number >= 1 else ""
    return "" if math.isnan(number) else f"{number:.6g}"
