"""The random state of each process of a run, and the training state of its model."""

import logging
import random
from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch

from trainyard.callbacks.protocols import Resumable

log = logging.getLogger(__name__)


class ProcessState(L.Callback):
    """Saves the random state of each process, and the training state of its model, for an exact resume."""

    state_key = "ProcessState"

    def __init__(self) -> None:
        self.loaded: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        own: dict[str, Any] = {"random": get_random_state(trainer.strategy.root_device)}
        if isinstance(pl_module, Resumable):
            own["model"] = pl_module.training_state()
        states: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(states, own)
        checkpoint["processes"] = states

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the state until training starts, since random numbers are drawn before that."""
        states = checkpoint.get("processes") or [None]
        if len(states) != trainer.world_size:
            text = "the checkpoint was saved by %d processes, not %d: the order of the examples changes"
            log.warning(text, len(states), trainer.world_size)
        self.loaded = states[trainer.global_rank % len(states)]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.loaded is None:
            return
        set_random_state(self.loaded["random"], trainer.strategy.root_device)
        if isinstance(pl_module, Resumable) and "model" in self.loaded:
            pl_module.load_training_state(self.loaded["model"])
        self.loaded = None


def get_random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the global generators of Python, NumPy, torch and a device, as numbers and tensors."""
    version, internal, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "python": [version, torch.tensor(internal), gauss],  # a tensor is copied faster than 625 numbers
        "numpy": [name, torch.tensor(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the state that `get_random_state` returned; a device of another type is not changed."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if device.type != "cpu" and "device" in state:
        torch.get_device_module(device).set_rng_state(state["device"].cpu(), device)
