"""Where the random numbers of a process are: Python's, NumPy's, torch's and the device's."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every generator that belongs to nobody, as plain numbers and tensors.

    Args:
        device: the one that is computed on.
    """
    version, drawn, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "python": [
            version,
            torch.tensor(drawn),
            gauss,
        ],  # tensors: of numbers one by one, a copy takes longer than a step
        "numpy": [name, torch.tensor(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Go on from what `random_state` gave; a device of another kind keeps its own."""
    version, drawn, gauss = state["python"]
    random.setstate((version, tuple(drawn.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if device.type != "cpu" and "device" in state:
        torch.get_device_module(device).set_rng_state(state["device"].cpu(), device)
