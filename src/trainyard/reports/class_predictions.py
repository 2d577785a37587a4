"""Predicted class probabilities of a split, and their metrics."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

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

from trainyard.data.loading.loader import Batch, Loader
from trainyard.data.loading.spec import Examples
from trainyard.io.files import replacing
from trainyard.models.supervised import SupervisedModel
from trainyard.run.load_model import load_model

CALIBRATION_BINS = 15
MAX_RANKED = 500  # classes, the most frequent: each takes 20 ms on 10,000 examples
Z_95 = 1.959964  # the 97.5 % quantile of the normal distribution


@runtime_checkable
class InterpretsOutputs(Protocol):
    """A module whose outputs have a meaning, such as probabilities."""

    def interpret(self, outputs: Tensor) -> Tensor:
        """Return the predictions for the outputs of `forward`."""


@runtime_checkable
class SplitsExamples(Protocol):
    """A data module whose splits and their labels can be read, compared and replaced."""

    def read(self) -> Mapping[str, Examples]:
        """Return the examples of the source by split."""

    def fingerprint_inputs(self, part: Examples) -> Tensor:
        """Return the values that represent the inputs of a split, `[N, ...]`."""

    def loader(self, split: str) -> Loader:
        """Return the loader of a split."""


@dataclass(frozen=True)
class Predictions:
    """Predicted probabilities and true labels of a split."""

    probabilities: Tensor  # float32 [N, K]
    labels: Tensor  # int64 [N]
    classes: tuple[str, ...]  # names of the K classes

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
        arrays: dict[str, Any] = {"probabilities": self.probabilities.numpy(), "labels": self.labels.numpy()}
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(file, **arrays, classes=np.array(self.classes, dtype=str))


def load_classifier(checkpoint: Path, trusted: Sequence[str] = ()) -> SupervisedModel:
    """Rebuild a classifier from its checkpoint; see `load_model`."""
    model = load_model(checkpoint, trusted, SupervisedModel)
    assert isinstance(model, SupervisedModel)
    return model


@torch.inference_mode()
def predict_batches(model: SupervisedModel, batches: Iterable[Batch]) -> Predictions:
    """Return the predictions of a model in evaluation mode for batches on its device."""
    probabilities, labels = [], []
    for batch, (x, y) in enumerate(batches):
        probabilities.append(model.predict_step((x, y), batch).float())
        labels.append(y)
    return Predictions(torch.cat(probabilities).cpu(), torch.cat(labels).cpu(), model.spec.classes)


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
    """Return number, mean confidence and accuracy of the predictions in each bin of confidence; 0 in an empty bin."""
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

    Classes without examples, or without others, are left out, and all but the `MAX_RANKED` most frequent.
    """
    scores = {}
    examples = predictions.labels.bincount(minlength=len(predictions.classes))
    for number in examples.argsort(descending=True, stable=True)[:MAX_RANKED].tolist():
        target, confidence = (predictions.labels == number).long(), predictions.probabilities[:, number]
        if 0 < int(examples[number]) < len(target):
            area = float(binary_auroc(confidence, target))
            scores[number] = (float(binary_average_precision(confidence, target)), area)
    return dict(sorted(scores.items(), key=lambda item: (item[1], item[0])))


def worst_mistakes(predictions: Predictions, most: int = 16) -> list[int]:
    """Return the positions of the wrong predictions with the highest confidence, in descending order."""
    wrong = (~predictions.correct).nonzero().flatten()
    order = predictions.confidence[wrong].argsort(descending=True, stable=True)
    return wrong[order][:most].tolist()
