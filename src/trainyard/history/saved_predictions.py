"""The predictions of the validation examples that a run saved, read without importing torch."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainyard.io.files import MAX_TABLE, open_regular

FILE = Path("predictions") / "val.npz"


@dataclass(frozen=True)
class SavedPredictions:
    """Labels and predicted probabilities of the validation examples at the best epoch.

    Attributes:
        classes: names of the K classes.
        labels: int64 `[N]`.
        probabilities: float32 `[N, K]`.
    """

    classes: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, bool `[N]`."""
        correct: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.labels
        return correct

    def by_class(self) -> dict[str, tuple[int, int]]:
        """Return the numbers of correct predictions and of examples of each class that has examples."""
        correct = np.bincount(self.labels, self.correct, len(self.classes)).astype(int)
        total = np.bincount(self.labels, minlength=len(self.classes))
        return {name: (int(c), int(n)) for name, c, n in zip(self.classes, correct, total, strict=True) if n}


def read_predictions(folder: Path) -> SavedPredictions | None:
    """Return the predictions in a run directory; `None` if there are none or they cannot be read."""
    try:
        with open_regular(folder / FILE, MAX_TABLE) as file, np.load(file, allow_pickle=False) as saved:
            labels = saved["labels"].astype(np.int64)
            probabilities = saved["probabilities"].astype(np.float32)
            classes = [str(name) for name in saved["classes"]]
    except (OSError, ValueError, KeyError, MemoryError, zipfile.BadZipFile):
        return None
    fits = probabilities.shape == (len(labels), len(classes))
    return SavedPredictions(classes, labels, probabilities) if fits else None
