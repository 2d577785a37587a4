"""What a model predicts on a split."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainyard.data.loading.loader import Batch
from trainyard.files import replacing
from trainyard.models.classifier import Classifier


@dataclass(frozen=True)
class Predictions:
    """The probability of each class for each example, beside what it is.

    Attributes:
        probabilities: float32 `[N, K]`.
        labels: int64 `[N]`.
        classes: the names of the K classes.
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
    def hits(self) -> Tensor:
        """Whether each prediction is right, bool `[N]`."""
        return self.predicted == self.labels

    @property
    def accuracy(self) -> float:
        """The share of predictions that are right."""
        return float(self.hits.float().mean())

    def save(self, path: Path) -> None:
        """Write `probabilities`, `labels` and `classes` as a NumPy archive, whole or not at all."""
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez(
                file,
                probabilities=self.probabilities.numpy(),
                labels=self.labels.numpy(),
                classes=np.array(self.classes, dtype=str),
            )


@torch.inference_mode()
def predict(model: Classifier, batches: Iterable[Batch]) -> Predictions:
    """Return what a model, in evaluation mode, predicts on batches of its own device."""
    probabilities, labels = [], []
    for batch, (x, y) in enumerate(batches):
        probabilities.append(model.predict_step((x, y), batch).float())
        labels.append(y)
    return Predictions(torch.cat(probabilities).cpu(), torch.cat(labels).cpu(), model.spec.classes)
