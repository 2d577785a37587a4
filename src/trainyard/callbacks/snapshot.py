"""A moment of the training in memory, to go back to."""

import copy
from typing import Any

import lightning as L

from trainyard.callbacks.weight_average import WeightAverage


class Snapshot:
    """Weights, the optimizer's state and the average of the weights, as they are now.

    Attributes:
        step: of the optimizer, after which it was taken.

    Args:
        trainer, model: that train.
    """

    def __init__(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        self.step = trainer.global_step
        modules = copy.deepcopy([module.state_dict() for module in self.modules(trainer, model)])
        states = copy.deepcopy([optimizer.state_dict()["state"] for optimizer in trainer.optimizers])
        self.stored: tuple[list[Any], list[Any]] = modules, states

    @staticmethod
    def modules(trainer: L.Trainer, model: L.LightningModule) -> list[Any]:
        """Return the model, and the average where there is one."""
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        averages = [callback._average_model for callback in callbacks if isinstance(callback, WeightAverage)]
        return [model, *averages]

    def restore(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Go back; the learning rates stay those of now."""
        modules, states = self.stored
        for module, stored in zip(self.modules(trainer, model), modules, strict=True):
            module.load_state_dict(stored)
        for optimizer, state in zip(trainer.optimizers, states, strict=True):
            optimizer.load_state_dict({**optimizer.state_dict(), "state": copy.deepcopy(state)})
