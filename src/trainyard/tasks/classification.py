"""Class probabilities of a split, and the metrics that follow from them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from trainyard.data.loading.loader import Batch
from trainyard.io.files import replacing
from trainyard.models.classifier import Classifier
from trainyard.run.load_model import load_model

CALIBRATION_BINS = 15
MAX_RANKED = 500  # classes, the most frequent: each takes 20 ms on 10,000 examples
Z_95 = 1.959964  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Predictions:
    """Predicted probabilities and true labels of a split.

    Attributes:
        probabilities: float32 `[N, K]`.
        labels: int64 `[N]`.
        classes: names of the K classes.
    """

    probabilities: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> Tensor:
        """The most probable class of each example, int64 `[N]`."""
        return self.probabilities.argmax(dim=1)

    @property
    def confidence(self) -> Tensor:
        """The probability of the predicted class, float32 `[N]`."""
        return self.probabilities.amax(dim=1)

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

    def save(self, path: Path) -> None:
        """Write `probabilities`, `labels` and `classes` as a NumPy archive, atomically."""
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(
                file,
                probabilities=self.probabilities.numpy(),
                labels=self.labels.numpy(),
                classes=np.array(self.classes, dtype=str),
            )


def load_classifier(checkpoint: Path, trusted: Sequence[str] = ()) -> Classifier:
    """Rebuild a classifier from its checkpoint; see `load_model`.

    Raises:
        ConfigError: the file is not a checkpoint, or not one of a classifier.
    """
    model = load_model(checkpoint, trusted, Classifier)
    assert isinstance(model, Classifier)
    return model


@torch.inference_mode()
def predict_batches(model: Classifier, batches: Iterable[Batch]) -> Predictions:
    """Return the predictions of a model in evaluation mode for batches on its device."""
    probabilities, labels = [], []
    for batch, (x, y) in enumerate(batches):
        probabilities.append(model.predict_step((x, y), batch).float())
        labels.append(y)
    return Predictions(torch.cat(probabilities).cpu(), torch.cat(labels).cpu(), model.spec.classes)


def accuracy_interval(correct: int, examples: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of an accuracy (Wilson 1927).

    It says how far the accuracy may be off for other examples of the same kind, not for another training. Unlike the
    bootstrap, it has a width where all predictions are correct.

    Args:
        correct: number of correct predictions.
        examples: number of predictions, at least 1.
    """
    share, z2 = correct / examples, Z_95**2 / examples
    center = (share + z2 / 2) / (1 + z2)
    margin = Z_95 * math.sqrt(share * (1 - share) / examples + z2 / (4 * examples)) / (1 + z2)
    return max(0.0, center - margin), min(1.0, center + margin)


class ClassScores(NamedTuple):
    """How well one class is recognised.

    Attributes:
        name: of the class.
        examples: number of examples of the class.
        precision: fraction of the predictions of this class that are correct; 0 without predictions.
        recall: fraction of the examples of this class that are predicted correctly; 0 without examples.
        f1: harmonic mean of precision and recall.
    """

    name: str
    examples: int
    precision: float
    recall: float
    f1: float


def class_scores(predictions: Predictions) -> list[ClassScores]:
    """Return the scores of each class, in the order of the classes.

    torchmetrics would build a matrix of all pairs of classes, which takes 800 MB for 10,000 classes.
    """
    groups = (predictions.labels[predictions.correct], predictions.labels, predictions.predicted)
    correct, examples, guesses = (labels.bincount(minlength=len(predictions.classes)) for labels in groups)
    precision, recall = correct / guesses.clamp(min=1), correct / examples.clamp(min=1)
    f1 = 2 * correct / (guesses + examples).clamp(min=1)
    columns = (examples.tolist(), precision.tolist(), recall.tolist(), f1.tolist())
    return [ClassScores(*row) for row in zip(predictions.classes, *columns, strict=True)]


def confusion_matrix(predictions: Predictions) -> Tensor:
    """Return the number of examples of each true class (row) and predicted class (column), int64 `[K, K]`."""
    classes = len(predictions.classes)
    return multiclass_confusion_matrix(predictions.predicted, predictions.labels, num_classes=classes)


def reliability(predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Return the number, mean confidence and accuracy of predictions in bins by confidence, `[CALIBRATION_BINS]` each.

    Mean and accuracy of an empty bin are 0.
    """
    bins = (predictions.confidence * CALIBRATION_BINS).ceil().long().clamp(1, CALIBRATION_BINS) - 1
    examples = torch.bincount(bins, minlength=CALIBRATION_BINS)
    confidence, accuracy = (
        torch.bincount(bins, weights=values.double(), minlength=CALIBRATION_BINS) / examples.clamp(min=1)
        for values in (predictions.confidence, predictions.correct)
    )
    return examples, confidence, accuracy


def calibration_error(predictions: Predictions) -> float:
    """Return the expected calibration error: the mean gap of confidence and accuracy (Guo et al. 2017)."""
    classes = len(predictions.classes)
    return float(
        multiclass_calibration_error(predictions.probabilities, predictions.labels, classes, n_bins=CALIBRATION_BINS)
    )


def ranking_scores(predictions: Predictions) -> dict[int, tuple[float, float]]:
    """Return average precision and area under the ROC curve of each class against all others, lowest first.

    Left out are classes that no example or every example belongs to, and all but the `MAX_RANKED` most frequent.
    """
    found = {}
    examples = predictions.labels.bincount(minlength=len(predictions.classes))
    for number in examples.argsort(descending=True, stable=True)[:MAX_RANKED].tolist():
        target, scores = (predictions.labels == number).long(), predictions.probabilities[:, number]
        if 0 < int(examples[number]) < len(target):
            found[number] = (float(binary_average_precision(scores, target)), float(binary_auroc(scores, target)))
    return dict(sorted(sorted(found.items()), key=lambda item: item[1]))


def worst_mistakes(predictions: Predictions, most: int = 16) -> list[int]:
    """Return the positions of wrong predictions, highest confidence first."""
    wrong = (~predictions.correct).nonzero().flatten()
    order = predictions.confidence[wrong].argsort(descending=True, stable=True)
    return wrong[order][:most].tolist()
