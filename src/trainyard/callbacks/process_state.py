"""What a process alone knows of the training, kept in the checkpoint of all."""

import logging
from typing import Any

import lightning as L
from torch import distributed

from trainyard.models.classifier import Classifier
from trainyard.models.epoch_sums import EpochSums
from trainyard.random_state import random_state, set_random_state

log = logging.getLogger(__name__)


class ProcessState(L.Callback):
    """Keeps the random numbers of each process, and what it has summed since the last validation.

    With them a run that was stopped in the middle of an epoch goes on as if it had not been.
    """

    state_key = "ProcessState"

    def __init__(self) -> None:
        self.loaded: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the state of every process, in their order."""
        assert isinstance(pl_module, Classifier)
        sums = {name: sums.state_dict() for name, sums in pl_module.sums.items() if name == "train"}
        own = {"random": random_state(trainer.strategy.root_device), "sums": sums}
        states: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            distributed.all_gather_object(states, own)
        checkpoint["processes"] = states

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the state until training goes on; until then others may draw."""
        states = checkpoint.get("processes") or [None]
        if len(states) != trainer.world_size:
            text = "saved by %d processes, gone on with %d: the order of the examples changes"
            log.warning(text, len(states), trainer.world_size)
        self.loaded = states[trainer.global_rank % len(states)]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up what was kept."""
        if self.loaded is None:
            return
        trainer.fit_loop._load_combined_loader_states()  # Lightning tries to before it has them
        assert isinstance(pl_module, Classifier)
        set_random_state(self.loaded["random"], trainer.strategy.root_device)
        stored = self.loaded["sums"]
        pl_module.sums = {name: EpochSums.from_state_dict(sums, pl_module.device) for name, sums in stored.items()}
        self.loaded = None
