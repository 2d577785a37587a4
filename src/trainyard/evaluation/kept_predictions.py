"""What a run said of each validation example at its best epoch, read without torch."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainyard.files import MOST_TABLE, open_regular

FILE = Path("predictions") / "val.npz"


@dataclass(frozen=True)
class KeptPredictions:
    """The labels of the validation examples, and what a run made of them.

    Attributes:
        classes: names, K of them.
        labels: int64 `[N]`.
        probabilities: float32 `[N, K]`.
    """

    classes: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Which examples the run got right, bool `[N]`."""
        right: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.labels
        return right

    def by_class(self) -> dict[str, tuple[int, int]]:
        """Return how many examples of each class were right, and how many there are; of those without any, none."""
        right = np.bincount(self.labels, self.correct, len(self.classes)).astype(int)
        total = np.bincount(self.labels, minlength=len(self.classes))
        return {name: (int(r), int(n)) for name, r, n in zip(self.classes, right, total, strict=True) if n}


def read_predictions(folder: Path) -> KeptPredictions | None:
    """Return the predictions that lie in a run's directory; `None` where none do, or they cannot be read."""
    try:
        with open_regular(folder / FILE, MOST_TABLE) as file, np.load(file, allow_pickle=False) as saved:
            labels = saved["labels"].astype(np.int64)
            probabilities = saved["probabilities"].astype(np.float32)
            classes = [str(name) for name in saved["classes"]]
    except (OSError, ValueError, KeyError, MemoryError, zipfile.BadZipFile):
        return None
    fits = probabilities.shape == (len(labels), len(classes))
    return KeptPredictions(classes, labels, probabilities) if fits else None
