"""Predicted class probabilities of a split, and their metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error, multiclass_confusion_matrix

from trainyard.history.saved_predictions import save_arrays

CALIBRATION_BINS = 15
Z_95 = 1.959964  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class ClassPredictions:
    """Predicted probabilities and true labels of a split."""

    probabilities: Tensor  # float32 [N, K]
    labels: Tensor  # int64 [N]
    names: tuple[str, ...]  # of the K classes
    decisions: Tensor | None = None  # the predicted classes, int64 [N]; `None` for the most probable ones
    threshold: float | None = None  # of the probability of the second of two classes; `None` if the model has none

    columns = ("predicted", "confidence", "true")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each example, int64 `[N]`."""
        return self.probabilities.argmax(dim=1) if self.decisions is None else self.decisions

    @property
    def confidence(self) -> Tensor:
        """The probability of the predicted class, float32 `[N]`."""
        return self.probabilities.gather(1, self.predicted[:, None])[:, 0]

    @property
    def correct(self) -> Tensor:
        """Whether each prediction is correct, bool `[N]`."""
        return self.predicted == self.labels

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return float(self.correct.float().mean())

    @property
    def log_loss(self) -> float:
        """The mean negative logarithm of the probability of the true class."""
        probabilities = self.probabilities.double().clamp(min=1e-45)
        return float(F.nll_loss(probabilities.log(), self.labels))

    @property
    def scores(self) -> dict[str, float]:
        """Accuracy and log loss, with the names of `Classification.scores`."""
        return {"acc": self.accuracy, "loss": self.log_loss}

    def baseline(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the accuracy of always predicting the class that the baseline of a run names; empty if it is none."""
        name = stored.get("class")
        if name not in self.names:
            return {}
        label = self.names.index(name)
        return {"class": name, "test/acc": float((self.labels == label).double().mean())}

    def has(self, number: int) -> Tensor:
        """Return whether each example is of a class, bool `[N]`."""
        return self.labels == number

    def marked(self, number: int) -> tuple[float, Tensor] | None:
        """Return the threshold of one of two classes, and which examples exceed it; `None` for more classes."""
        if len(self.names) != 2:
            return None
        threshold = 0.5 if self.threshold is None else self.threshold
        return (threshold if number == 1 else 1 - threshold), self.predicted == number

    def worst(self, most: int = 16) -> list[int]:
        """Return the positions of the wrong predictions with the highest confidence, in descending order."""
        wrong = (~self.correct).nonzero().flatten()
        order = self.confidence[wrong].argsort(descending=True, stable=True)
        return wrong[order][:most].tolist()

    def describe(self, position: int) -> tuple[str, ...]:
        """Return the predicted class, its probability, and the true class, as `columns` names them."""
        predicted, true = self.names[int(self.predicted[position])], self.names[int(self.labels[position])]
        return predicted, f"{float(self.confidence[position]):.0%}", true

    def caption(self, position: int) -> str:
        """Return the text of `describe` for the title of an image."""
        predicted, confidence, true = self.describe(position)
        return f"{predicted} {confidence}\nis {true}"

    def save(self, path: Path) -> None:
        """Write `probabilities`, `labels` and `classes` as a NumPy archive, atomically."""
        save_arrays(path, probabilities=self.probabilities, labels=self.labels, classes=self.names)


def accuracy_interval(correct: int, examples: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of an accuracy over other examples of the same kind (Wilson 1927).

    It does not include the variation over trainings. Unlike a bootstrap interval, it is not empty at 0 and 100 %.
    """
    share, z2 = correct / examples, Z_95**2 / examples
    center = (share + z2 / 2) / (1 + z2)
    margin = Z_95 * math.sqrt(share * (1 - share) / examples + z2 / (4 * examples)) / (1 + z2)
    return max(0.0, center - margin), min(1.0, center + margin)


class ClassScores(NamedTuple):
    """Scores of a class: precision is 0 without predictions of it, recall is 0 without examples of it."""

    name: str
    examples: int
    precision: float
    recall: float
    f1: float


def class_scores(predictions: ClassPredictions) -> list[ClassScores]:
    """Return the scores of each class, in the order of the classes.

    torchmetrics would build a matrix of all pairs of classes, which takes 800 MB for 10,000 classes.
    """
    groups = (predictions.labels[predictions.correct], predictions.labels, predictions.predicted)
    correct, examples, guesses = (labels.bincount(minlength=len(predictions.names)) for labels in groups)
    precision, recall = correct / guesses.clamp(min=1), correct / examples.clamp(min=1)
    f1 = 2 * correct / (guesses + examples).clamp(min=1)
    columns = (examples.tolist(), precision.tolist(), recall.tolist(), f1.tolist())
    return [ClassScores(*row) for row in zip(predictions.names, *columns, strict=True)]


def confusion_matrix(predictions: ClassPredictions) -> Tensor:
    """Return the number of examples of each true class (row) and predicted class (column), int64 `[K, K]`."""
    classes = len(predictions.names)
    return multiclass_confusion_matrix(predictions.predicted, predictions.labels, num_classes=classes)


def reliability(predictions: ClassPredictions) -> tuple[Tensor, Tensor, Tensor]:
    """Return number, mean confidence and accuracy of the predictions in each bin of confidence; 0 in an empty bin."""
    bins = (predictions.confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    examples = torch.bincount(bins, minlength=CALIBRATION_BINS)
    confidence, accuracy = (
        torch.bincount(bins, weights=values.double(), minlength=CALIBRATION_BINS) / examples.clamp(min=1)
        for values in (predictions.confidence, predictions.correct)
    )
    return examples, confidence, accuracy


def calibration_error(predictions: ClassPredictions) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy (Guo et al. 2017)."""
    classes = len(predictions.names)
    return float(
        multiclass_calibration_error(predictions.probabilities, predictions.labels, classes, n_bins=CALIBRATION_BINS)
    )
