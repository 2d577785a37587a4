"""How well the probability of a class ranks the examples: precision over recall, and ROC."""

from matplotlib.figure import Figure
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    binary_precision_recall_curve,
    binary_roc,
)

from trainyard.evaluation.predictions import Predictions

DRAWN = 10  # classes, those that are ranked worst
RANKED = 500  # classes, those of the most examples: each takes 20 ms on 10,000 examples


def ranked_classes(predictions: Predictions) -> dict[int, tuple[float, float]]:
    """Return average precision and area under the ROC of each class, the worst first.

    A class of no example, or of all, cannot be ranked and is left out; of very many, those of few examples are.
    """
    found = {}
    examples = predictions.labels.bincount(minlength=len(predictions.classes))
    for number in examples.argsort(descending=True, stable=True)[:RANKED].tolist():
        is_it = (predictions.labels == number).long()
        if 0 < int(is_it.sum()) < len(is_it):
            scores = predictions.probabilities[:, number]
            found[number] = (float(binary_average_precision(scores, is_it)), float(binary_auroc(scores, is_it)))
    return dict(sorted(sorted(found.items()), key=lambda item: item[1]))


def ranking_figure(predictions: Predictions) -> Figure:
    """Draw both curves of each class against all others; of many classes, those that are ranked worst."""
    areas = ranked_classes(predictions)
    figure = Figure(figsize=(11, 5))
    figure.subplots_adjust(0.06, 0.11, 0.98, 0.92, wspace=0.15)
    left, right = figure.subplots(1, 2)
    for number in list(areas)[:DRAWN]:
        is_it, scores = (predictions.labels == number).long(), predictions.probabilities[:, number]
        precision, recall, _ = binary_precision_recall_curve(scores, is_it)
        false_positive, true_positive, _ = binary_roc(scores, is_it)
        average, area = areas[number]
        name = predictions.classes[number]
        left.plot(recall, precision, drawstyle="steps-post", label=f"{name} {average:.3f}")
        right.plot(false_positive, true_positive, label=f"{name} {area:.3f}")
    means = [sum(values) / len(areas) for values in zip(*areas.values(), strict=True)] or [0.0, 0.0]
    which = f"the {DRAWN} worst of {len(areas)} classes" if len(areas) > DRAWN else "each class"
    left.set(xlabel="recall", ylabel="precision", title=f"{which}; mean average precision {means[0]:.3f}")
    right.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC; mean area {means[1]:.3f}")
    right.plot([0, 1], [0, 1], ":", color="gray")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize=8)
    return figure
