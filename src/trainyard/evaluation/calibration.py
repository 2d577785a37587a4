"""Whether a model is right as often as it says."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from trainyard.evaluation.predictions import Predictions

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Predictions in bins of equal width by their confidence.

    Attributes:
        examples: in each bin, `[BINS]`.
        confidence, accuracy: mean in each bin; 0 where it is empty.
    """

    examples: Tensor
    confidence: Tensor
    accuracy: Tensor


def reliability(predictions: Predictions) -> Reliability:
    """Return how often predictions of each confidence are right."""
    place = (predictions.confidence * BINS).ceil().long().clamp(1, BINS) - 1  # a bin holds its upper end
    examples = torch.bincount(place, minlength=BINS)
    means = (
        torch.bincount(place, weights=values.double(), minlength=BINS) / examples.clamp(min=1)
        for values in (predictions.confidence, predictions.hits)
    )
    return Reliability(examples, *means)


def expected_calibration_error(predictions: Predictions) -> float:
    """Return the mean distance of confidence and accuracy over the bins (Guo et al. 2017, arXiv:1706.04599)."""
    classes = len(predictions.classes)
    error = multiclass_calibration_error(predictions.probabilities, predictions.labels, classes, n_bins=BINS)
    return float(error)


def calibration_figure(predictions: Predictions) -> Figure:
    """Draw the reliability diagram, and below it how many predictions are in each bin."""
    found = reliability(predictions)
    figure = Figure(figsize=(5, 6))
    figure.subplots_adjust(0.14, 0.09, 0.97, 0.94)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    ends = [number / BINS for number in range(BINS)]
    filled = found.examples > 0
    above.bar(ends, found.accuracy.tolist(), 1 / BINS, align="edge", edgecolor="white", label="right")
    above.plot(found.confidence[filled], found.accuracy[filled], "o", color="tab:orange", label="at this confidence")
    above.plot([0, 1], [0, 1], ":", color="gray", label="as often as it says")
    above.set(ylabel="share that is right", title=f"calibration error {expected_calibration_error(predictions):.4f}")
    above.legend(fontsize=8, loc="upper left")
    below.bar(ends, found.examples.tolist(), 1 / BINS, align="edge", edgecolor="white", color="tab:gray")
    below.set(xlabel="confidence", ylabel="examples", xlim=(0, 1))
    return figure
