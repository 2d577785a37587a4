"""The state of each process within an epoch: random numbers, and the metrics of its model."""

import logging
from typing import Any

import lightning as L
import torch

from trainyard.callbacks.epoch_metrics import get_logged, get_metrics, set_logged, set_metrics
from trainyard.callbacks.protocols import Resumable
from trainyard.callbacks.random_state import get_random_state, set_random_state

log = logging.getLogger(__name__)


class ProcessState(L.Callback):
    """Saves the random state of each process, and the metrics of its model, for an exact resume.

    The metrics are those of torchmetrics in the model, the values that it has logged in this epoch, and the
    `training_state` of a model that has one. Gradients are saved with manual optimization by a single process, since
    the model may accumulate them.
    """

    state_key = "ProcessState"

    def __init__(self) -> None:
        self.loaded: dict[str, Any] | None = None
        self.before_validation: dict[str, Any] = {}

    def begin_validation(self, trainer: L.Trainer) -> None:
        """Store what a validation changes, since it is repeated if it is interrupted; its loaders draw numbers too."""
        random_state = get_random_state(trainer.strategy.root_device)
        self.before_validation = {"random": random_state, "metrics": get_metrics(trainer.lightning_module)}

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        loop: Any = trainer.fit_loop.epoch_loop
        if not loop.val_loop.is_interrupted:
            self.begin_validation(trainer)
        own = dict(self.before_validation)
        own["logged"] = get_logged(loop.logged)
        own["callback_metrics"] = dict(sorted(trainer.callback_metrics.items()))
        if isinstance(pl_module, Resumable):
            own["model"] = pl_module.training_state()
        if not pl_module.automatic_optimization and trainer.world_size == 1:
            own["gradients"] = {name: p.grad for name, p in pl_module.named_parameters() if p.grad is not None}
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

    def restore(self, trainer: L.Trainer) -> None:
        """Restore the state of a checkpoint, after the hooks at the start of training, which may reset metrics."""
        if self.loaded is None:
            return
        loaded, self.loaded = self.loaded, None
        module, loop = trainer.lightning_module, trainer.fit_loop.epoch_loop
        trainer.callback_metrics.update(loaded.get("callback_metrics", {}))
        set_metrics(module, loaded.get("metrics", {}))
        set_logged(loop.logged, loaded.get("logged", {}), trainer)
        if isinstance(module, Resumable) and "model" in loaded:
            module.load_training_state(loaded["model"])
        gradients = loaded.get("gradients", {})
        for name, parameter in module.named_parameters():
            if name in gradients:
                parameter.grad = gradients[name].to(parameter.device)
        set_random_state(loaded["random"], trainer.strategy.root_device)


def find_process_state(trainer: L.Trainer) -> ProcessState | None:
    """Return the callback of a trainer."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, ProcessState)), None)
