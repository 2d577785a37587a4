"""Predictions of a split in a NumPy archive."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainyard.io.files import MAX_TABLE, open_regular, replacing


class SavedSplit(NamedTuple):
    """Predictions and targets of the examples of a split.

    Attributes:
        predictions: probabilities or numbers, float32 `[N, K]`.
        targets: class labels, int64 `[N]`; numbers, or whether each label is present, `[N, K]`.
        names: of the classes, numbers or labels.
    """

    predictions: Tensor
    targets: Tensor
    names: list[str]


def save_arrays(path: Path, **arrays: Tensor | Sequence[str]) -> None:
    """Write tensors and names as a NumPy archive, atomically."""
    path.parent.mkdir(exist_ok=True)
    plain = {
        name: value.cpu().numpy() if isinstance(value, Tensor) else np.array(value, dtype=str)
        for name, value in arrays.items()
    }
    values: dict[str, Any] = plain
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, **values)


def load_split(path: Path) -> SavedSplit | None:
    """Return the predictions in a file that `save` of any kind wrote; `None` if they are missing or damaged."""
    try:
        with open_regular(path, MAX_TABLE) as file, np.load(file, allow_pickle=False) as saved:
            predictions = saved["predictions" if "predictions" in saved else "probabilities"].astype(np.float32)
            targets = saved["targets"] if "targets" in saved else saved["labels"].astype(np.int64)
            names = [str(name) for name in saved["names" if "names" in saved else "classes"]]
    except (OSError, ValueError, KeyError, MemoryError, zipfile.BadZipFile):
        return None
    fits = predictions.shape == (len(targets), len(names)) and targets.dtype.kind in "ifb"
    return SavedSplit(torch.from_numpy(predictions), torch.from_numpy(targets), names) if fits else None
