"""Figures of predicted classes and labels: confusion matrix, calibration, precision-recall and ROC curves."""

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_precision_recall_curve,
    binary_roc,
)

from trainyard.io.figures import figure_style
from trainyard.reports.class_predictions import (
    CALIBRATION_BINS,
    ClassPredictions,
    calibration_error,
    confusion_matrix,
    reliability,
)
from trainyard.reports.label_predictions import LabelPredictions

MAX_NUMBERS, MAX_NAMES = 20, 60  # classes up to which cells show numbers, and rows show names
MAX_CLASSES = 1000  # in a confusion matrix, whose size is their square
MAX_CURVES = 10  # classes, the lowest ranked
MAX_RANKED = 500  # classes, the most frequent: each takes 20 ms on 10,000 examples

RankedPredictions = ClassPredictions | LabelPredictions


@figure_style()
def confusion_figure(predictions: ClassPredictions) -> Figure:
    """Draw the confusion matrix as counts and as fractions of each true class, of at most `MAX_CLASSES` classes."""
    counts = confusion_matrix(predictions)
    fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    names = predictions.names
    side = min(9.0, 2.4 + 0.3 * len(names))
    figure = Figure(figsize=(2 * side, side + 0.8), layout="tight")
    left, right = figure.subplots(1, 2, sharey=True)
    draw_cells(left, counts, fractions, names, digits=0)
    draw_cells(right, fractions, fractions, names, digits=2)
    left.set(xlabel="predicted", ylabel="true", title="examples")
    right.set(xlabel="predicted", title="fraction of the true class")
    figure.suptitle(f"{len(predictions)} examples, {predictions.accuracy:.2%} correct")
    return figure


def draw_cells(axis: Axes, cells: Tensor, fractions: Tensor, names: tuple[str, ...], digits: int) -> None:
    """Draw a matrix coloured by `fractions`; cells without examples have no number."""
    axis.imshow(fractions.numpy(), cmap="Blues", vmin=0, vmax=1)
    size = 8 if len(names) <= MAX_NUMBERS else 5
    if len(names) <= MAX_NAMES:
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
        axis.set_yticks(range(len(names)), names, fontsize=size)
    if len(names) <= MAX_NUMBERS:
        for row, column in cells.nonzero().tolist():
            colour = "white" if float(fractions[row, column]) > 0.5 else "black"
            text = f"{float(cells[row, column]):.{digits}f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


@figure_style()
def calibration_figure(predictions: ClassPredictions) -> Figure:
    """Draw the reliability diagram, and below it the number of predictions in each bin."""
    examples, confidence, accuracy = reliability(predictions)
    figure = Figure(figsize=(5, 6))
    figure.subplots_adjust(0.14, 0.09, 0.97, 0.94)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = 1 / CALIBRATION_BINS
    edges = [number * width for number in range(CALIBRATION_BINS)]
    filled = examples > 0
    above.bar(edges, accuracy.tolist(), width, align="edge", edgecolor="white", label="accuracy")
    above.plot(confidence[filled], accuracy[filled], "o", color="tab:orange", label="mean confidence")
    above.plot([0, 1], [0, 1], ":", color="gray", label="perfect calibration")
    above.set(ylabel="accuracy", title=f"calibration error {calibration_error(predictions):.4f}")
    above.legend(loc="upper left")
    below.bar(edges, examples.tolist(), width, align="edge", edgecolor="white", color="tab:gray")
    below.set(xlabel="confidence", ylabel="examples", xlim=(0, 1))
    return figure


def ranking_scores(predictions: RankedPredictions) -> dict[int, tuple[float, float]]:
    """Return average precision and area under the ROC curve of each class against all others, lowest first.

    Classes without examples, or without others, are left out, and all but the `MAX_RANKED` most frequent.
    """
    scores = {}
    examples = torch.stack([predictions.has(number).sum() for number in range(len(predictions.names))])
    for number in examples.argsort(descending=True, stable=True)[:MAX_RANKED].tolist():
        target, confidence = predictions.has(number).long(), predictions.probabilities[:, number]
        if 0 < int(examples[number]) < len(target):
            area = float(binary_auroc(confidence, target))
            scores[number] = (float(binary_average_precision(confidence, target)), area)
    return dict(sorted(scores.items(), key=lambda item: (item[1], item[0])))


@figure_style()
def ranking_figure(predictions: RankedPredictions) -> Figure:
    """Draw precision-recall and ROC curves of each class or label against all others; of many, the worst ten.

    Points mark the thresholds of two classes, or of labels.
    """
    noun, nouns = ("class", "classes") if isinstance(predictions, ClassPredictions) else ("label", "labels")
    scores = ranking_scores(predictions)
    figure = Figure(figsize=(11, 5))
    figure.subplots_adjust(0.06, 0.11, 0.98, 0.92, wspace=0.15)
    left, right = figure.subplots(1, 2)
    for place, number in enumerate(list(scores)[:MAX_CURVES]):
        target, probabilities = predictions.has(number).long(), predictions.probabilities[:, number]
        precision, recall, _ = binary_precision_recall_curve(probabilities, target)
        false_positive, true_positive, _ = binary_roc(probabilities, target)
        name, (average, area) = predictions.names[number], scores[number]
        left.plot(recall, precision, drawstyle="steps-post", label=f"{name} {average:.3f}")
        right.plot(false_positive, true_positive, label=f"{name} {area:.3f}")
        if marked := predictions.marked(number):
            mark_threshold(left, right, *marked, target.bool(), f"C{place}")
    means = [sum(values) / len(scores) for values in zip(*scores.values(), strict=True)] or [0.0, 0.0]
    which = f"the {MAX_CURVES} worst of {len(scores)} {nouns}" if len(scores) > MAX_CURVES else f"each {noun}"
    left.set(xlabel="recall", ylabel="precision", title=f"{which}; mean average precision {means[0]:.3f}")
    right.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC; mean area {means[1]:.3f}")
    right.plot([0, 1], [0, 1], ":", color="gray")
    for axis in (left, right):
        axis.grid()
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if scores:
            axis.legend()
    return figure


def mark_threshold(left: Axes, right: Axes, threshold: float, decided: Tensor, target: Tensor, colour: str) -> None:
    """Mark the point of a threshold on a precision-recall and a ROC curve; `decided` and `target` are bool `[N]`."""
    hits, wrong = (decided & target).sum(), (decided & ~target).sum()
    recall = float(hits / target.sum())
    style: dict[str, Any] = {
        "color": colour,
        "markersize": 8,
        "markeredgecolor": "black",
        "label": f"threshold {threshold:.3g}",
    }
    if decided.any():
        left.plot([recall], [float(hits / decided.sum())], "o", **style)
    right.plot([float(wrong / (~target).sum())], [recall], "o", **style)
