"""Figures of predicted numbers: predicted against true ones, and their errors."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainyard.io.figures import figure_style
from trainyard.reports.number_predictions import NumberPredictions

MAX_TARGETS = 6  # numbers that are drawn, the first
MAX_POINTS = 3000  # examples drawn as points; more are counted in hexagons
PALEST = 0.2  # number of examples that would be white, so that a single one is visible
BINS = 40  # of a histogram, at most


@figure_style()
def predicted_against_true_figure(predictions: NumberPredictions) -> Figure:
    """Draw the predicted against the true values of each number."""
    names = predictions.names[:MAX_TARGETS]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.4 * rows), layout="tight")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    scores = predictions.scores
    for axis in axes[len(names) :]:
        axis.axis("off")
    for place, (axis, name) in enumerate(zip(axes, names, strict=False)):
        suffix = f"_{name}" if len(predictions.names) > 1 else ""
        true, predicted = predictions.targets[:, place], predictions.numbers[:, place]
        draw_points(axis, true, predicted)
        limits = [*axis.get_xlim(), *axis.get_ylim()]
        low, high = min(limits), max(limits)
        axis.plot([low, high], [low, high], ":", color="black", linewidth=1)
        title = f"{name}: rmse {scores[f'rmse{suffix}']:.4g}, R² {scores[f'r2{suffix}']:.3f}"
        axis.set(xlabel="true", ylabel="predicted", title=title, xlim=(low, high), ylim=(low, high))
    return figure


@figure_style()
def residual_figure(predictions: NumberPredictions) -> Figure:
    """Draw the errors of each number against its predicted values, and their distribution."""
    names = predictions.names[:MAX_TARGETS]
    figure = Figure(figsize=(9, 3.4 * len(names)), layout="tight")
    axes = figure.subplots(len(names), 2, squeeze=False, sharey="row", width_ratios=[3, 1])
    for place, (name, (left, right)) in enumerate(zip(names, axes, strict=True)):
        errors = predictions.errors[:, place]
        draw_points(left, predictions.numbers[:, place], errors)
        right.hist(
            errors.numpy(), bins=max(10, min(BINS, len(errors) // 5)), orientation="horizontal", color="tab:gray"
        )
        for axis in (left, right):
            axis.axhline(0, color="black", linestyle=":", linewidth=1)
        mean, deviation = float(errors.mean()), float(errors.std(correction=0))
        left.set(
            xlabel=f"predicted {name}",
            ylabel="predicted - true",
            title=f"errors: mean {mean:.3g}, deviation {deviation:.3g}",
        )
        right.set(xlabel="examples")
    return figure


def draw_points(axis: Axes, x: Tensor, y: Tensor) -> None:
    """Draw examples as points, or many as hexagons coloured by their number on a logarithmic scale."""
    axis.grid()
    if len(x) <= MAX_POINTS:
        axis.plot(x.numpy(), y.numpy(), "o", markersize=4, alpha=0.4, markeredgewidth=0)
    else:
        axis.hexbin(x.numpy(), y.numpy(), gridsize=60, mincnt=1, bins="log", vmin=PALEST, cmap="Blues", linewidths=0.1)
