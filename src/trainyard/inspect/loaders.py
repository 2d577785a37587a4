"""`show data` for any data module: the batches of its loaders."""

from collections.abc import Iterator, Mapping, Sized
from itertools import chain
from typing import Any

import lightning as L
from lightning.pytorch.utilities.model_helpers import is_overridden

from trainyard.callbacks.protocols import named_tensors
from trainyard.terminal.tables import table

STAGES = {"train": "fit", "val": "fit", "test": "test", "predict": "predict"}  # of Lightning's `setup`, by loader
COLUMNS = ("loader", "batches", "examples", "tensor", "type", "shape of the first batch", "lowest", "highest")


def describe_loaders(data: L.LightningDataModule) -> str:
    """Return a table with size and first batch of each loader."""
    data.prepare_data()
    rows: list[tuple[object, ...]] = []
    for name, stage in STAGES.items():
        if is_overridden(f"{name}_dataloader", data):
            data.setup(stage)
            for path, loader in named_loaders(name, getattr(data, f"{name}_dataloader")()):
                rows += loader_rows(path, loader)
    return table(COLUMNS, rows, right=(*COLUMNS[1:3], *COLUMNS[6:]))


def named_loaders(name: str, loaders: Any) -> Iterator[tuple[str, Any]]:
    """Yield the loaders in lists, tuples and dicts, with their dotted paths."""
    if isinstance(loaders, list | tuple | Mapping):
        pairs = loaders.items() if isinstance(loaders, Mapping) else enumerate(loaders)
        yield from chain.from_iterable(named_loaders(f"{name}.{key}", loader) for key, loader in pairs)
    else:
        yield name, loaders


def loader_rows(name: str, loader: Any) -> list[tuple[object, ...]]:
    """Return the rows of a loader: one for each tensor in its first batch."""
    sizes = [size_of(loader), size_of(getattr(loader, "dataset", None))]
    tensors = list(named_tensors(next(iter(loader), ())))
    if not tensors:
        return [(name, *sizes, "none", "", "", "", "")]
    rows: list[tuple[object, ...]] = []
    for path, tensor in tensors:
        head = (name, *sizes) if not rows else ("", "", "")
        limits = [f"{float(limit):.4g}" for limit in (tensor.min(), tensor.max())] if tensor.numel() else ["", ""]
        rows.append((*head, path, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), *limits))
    return rows


def size_of(part: object) -> str:
    """Return the number of batches or examples; `?` if it is not known, as for an iterable dataset."""
    try:
        return f"{len(part):,}" if isinstance(part, Sized) else "?"
    except TypeError:  # of a DataLoader on an iterable dataset
        return "?"
