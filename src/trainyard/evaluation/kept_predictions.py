"""What a run said of each validation example at its best epoch, read without torch."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path("predictions") / "val.npz"


@dataclass(frozen=True)
class KeptPredictions:
    """The labels of the validation examples, and which of them a run got right.

    Attributes:
        classes: names, K of them.
        labels: int64 `[N]`.
        correct: bool `[N]`.
    """

    classes: list[str]
    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]

    def by_class(self) -> dict[str, tuple[int, int]]:
        """Return how many examples of each class were right, and how many there are; of those without any, none."""
        right = np.bincount(self.labels, self.correct, len(self.classes)).astype(int)
        total = np.bincount(self.labels, minlength=len(self.classes))
        return {name: (int(r), int(n)) for name, r, n in zip(self.classes, right, total, strict=True) if n}


def read_predictions(folder: Path) -> KeptPredictions | None:
    """Return the predictions that lie in a run's directory; `None` where none do, or they cannot be read."""
    try:
        with (folder / FILE).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            labels = saved["labels"].astype(np.int64)
            guessed = saved["probabilities"].argmax(axis=1)
            return KeptPredictions([str(name) for name in saved["classes"]], labels, guessed == labels)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
