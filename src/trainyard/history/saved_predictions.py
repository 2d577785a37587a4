"""The predictions of a run for its validation examples, in a NumPy archive; without importing torch."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainyard.io.files import MAX_TABLE, open_regular, replacing

FILE = Path("predictions") / "val.npz"


@dataclass(frozen=True)
class SavedPredictions:
    """Predictions at the best epoch, and what is true.

    Attributes:
        names: of the K classes, numbers or labels.
        targets: numbers of classes, int64 `[N]`; numbers, or whether each label is present, `[N, K]`.
        predictions: probabilities or numbers, float32 `[N, K]`.
    """

    names: list[str]
    targets: NDArray[Any]
    predictions: NDArray[np.float32]


def save_arrays(path: Path, **arrays: ArrayLike) -> None:
    """Write arrays, or tensors on the CPU, as a NumPy archive, atomically."""
    path.parent.mkdir(exist_ok=True)
    values: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **values)


def read_predictions(folder: Path) -> SavedPredictions | None:
    """Return the predictions in a run directory; `None` if there are none or they cannot be read."""
    try:
        with open_regular(folder / FILE, MAX_TABLE) as file, np.load(file, allow_pickle=False) as saved:
            predictions = saved["predictions" if "predictions" in saved else "probabilities"].astype(np.float32)
            targets = saved["targets"] if "targets" in saved else saved["labels"].astype(np.int64)
            names = [str(name) for name in saved["names" if "names" in saved else "classes"]]
    except (OSError, ValueError, KeyError, TypeError, MemoryError, zipfile.BadZipFile):
        return None
    fits = predictions.ndim == 2 and predictions.shape[1] == len(names) and targets.dtype.kind in "ifb"
    fits = fits and targets.shape in (predictions.shape, predictions.shape[:1])
    return SavedPredictions(names, targets, predictions) if fits else None
