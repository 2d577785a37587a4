"""Plain values: those that `torch.load(weights_only=True)` reads, so that a checkpoint never contains code."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

LEAVES = {
    str,
    int,
    float,
    bool,
    type(None),
    bytes,
    complex,
    Tensor,
    nn.Parameter,
    torch.dtype,
    torch.device,
    torch.Size,
}


def is_plain(value: Any) -> bool:
    """Return whether a value is plain, with all values in it."""
    kind = type(value)
    if kind in LEAVES:
        return True
    if kind in (dict, OrderedDict):
        return all(is_plain(name) and is_plain(item) for name, item in value.items())
    return all(map(is_plain, value)) if kind in (list, tuple, set) else is_readable(value)


def is_readable(value: Any) -> bool:
    """Return whether a value of a rare type can be saved and loaded."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except (pickle.PickleError, RuntimeError, AttributeError, TypeError, ValueError):  # which one depends on the type
        return False
    return True


def to_plain(value: Any) -> Any:
    """Return a value with numbers of NumPy, paths and config nodes converted to plain ones.

    Raises:
        TypeError: it contains a value that cannot be converted without loss.
    """
    if isinstance(value, DictConfig | ListConfig):
        value = to_container(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {to_plain(name): to_plain(item) for name, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(to_plain, value))
    if isinstance(value, PurePath):
        return str(value)
    for kind in (str, int, float):
        if isinstance(value, kind) and not isinstance(value, bool | Enum):
            return kind(value)
    if is_plain(value):
        return value
    raise TypeError(f"{type(value).__name__} is not a plain value")


def to_container(node: DictConfig | ListConfig) -> Any:
    """Return a config node as dicts and lists; raise a TypeError if it cannot be resolved."""
    try:
        return OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise TypeError(str(error)) from error


def plain_items(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the items of a mapping that are plain or can be converted."""
    kept = {}
    for name, value in values.items():
        try:
            kept[str(name)] = to_plain(value)
        except (TypeError, RecursionError):
            continue
    return kept


def remove_unreadable(checkpoint: dict[str, Any]) -> list[str]:
    """Convert the entries of a checkpoint, and the states of its callbacks, to plain values; remove the others.

    Returns:
        The names of the removed entries.
    """
    removed = []
    entries = [(checkpoint, name, name) for name in checkpoint if name not in ("callbacks", "state_dict")]
    callbacks = checkpoint.get("callbacks") or {}
    entries += [(callbacks, name, f"the state of the callback {name.partition('{')[0]}") for name in callbacks]
    for owner, name, text in entries:
        if is_plain(owner[name]):
            continue
        converted = plain_items({name: owner.pop(name)})
        owner.update(converted)
        removed += [] if converted else [text]
    return removed
