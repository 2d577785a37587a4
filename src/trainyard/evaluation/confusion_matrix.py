"""Which class is taken for which."""

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, isin, searchsorted
from torchmetrics.functional.classification import multiclass_confusion_matrix

from trainyard.evaluation.predictions import Predictions

NUMBERED = 20  # classes up to which each cell says its number
NAMED = 60  # and up to which each row says its name
WHOLE = 1000  # and up to which there is a matrix of all: one of 10,000 takes 800 MB, and no picture has the pixels


def confusion_counts(predictions: Predictions) -> Tensor:
    """Return how many examples of each class (row) were predicted as each (column), int64 `[K, K]`; they sum to N."""
    classes = len(predictions.classes)
    return multiclass_confusion_matrix(predictions.predicted, predictions.labels, num_classes=classes)


def most_confused(predictions: Predictions) -> Predictions:
    """Return the predictions of the 60 classes of most mistakes, as far as they are taken for each other."""
    count = len(predictions.classes)
    missed = predictions.labels[~predictions.hits].bincount(minlength=count)
    chosen = missed.argsort(descending=True, stable=True)[:NAMED].sort().values
    both = isin(predictions.labels, chosen) & isin(predictions.predicted, chosen)
    return replace(
        predictions,
        probabilities=predictions.probabilities[both][:, chosen],
        labels=searchsorted(chosen, predictions.labels[both]),
        classes=tuple(predictions.classes[number] for number in chosen.tolist()),
    )


def confusion_figure(predictions: Predictions) -> Figure:
    """Draw the counts, and beside them each row as shares of its class; of more than 1,000 the most confused."""
    title = f"{len(predictions)} examples, {predictions.accuracy:.2%} right"
    if len(predictions.classes) > WHOLE:
        title += f"; the {NAMED} of {len(predictions.classes)} classes of most mistakes, among themselves"
        predictions = most_confused(predictions)
    counts = confusion_counts(predictions)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    names = predictions.classes
    side = min(9.0, 2.4 + 0.3 * len(names))
    figure = Figure(figsize=(2 * side, side + 0.8), layout="tight")
    for axis, cells, digits, what in zip(
        figure.subplots(1, 2, sharey=True),
        (counts, shares),
        (0, 2),
        ("examples", "share of the true class"),
        strict=True,
    ):
        draw_cells(axis, cells, shares, names, digits)
        axis.set(xlabel="predicted", title=what)
    figure.axes[0].set_ylabel("true")
    figure.suptitle(title)
    return figure


def draw_cells(axis: Axes, cells: Tensor, shares: Tensor, names: tuple[str, ...], digits: int) -> None:
    """Draw a matrix in the colours of the shares; nothing is written into a cell without an example."""
    axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    size = 8 if len(names) <= NUMBERED else 5
    if len(names) <= NAMED:
        places = range(len(names))
        axis.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
        axis.set_yticks(places, names, fontsize=size)
    if len(names) <= NUMBERED:
        for row, column in cells.nonzero().tolist():
            text, dark = f"{float(cells[row, column]):.{digits}f}", float(shares[row, column]) > 0.5
            colour = "white" if dark else "black"
            axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
