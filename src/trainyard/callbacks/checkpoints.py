"""The checkpoints of a run: the best and the last."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from trainyard.config import objective_mode


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt`, of each epoch's end. Lightning's `save_last` writes one only when the best changed too.

    Args:
        folder: where it goes.
    """

    state_key = "LastCheckpoint"  # Lightning makes a long one anew six times a step

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, of the best epoch; of two that the objective cannot tell apart, of the one of less loss.

    On few validation examples many epochs share the best accuracy, and the first of them has hardly learned yet.

    Args:
        folder: where it goes.
        objective: the metric that chooses, `val/acc` or `val/loss`.
    """

    state_key = "BestCheckpoint"

    def __init__(self, folder: Path, objective: str) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=objective,
            mode=objective_mode(objective),
            enable_version_counter=False,  # a better one replaces best.ckpt
        )
        self.best_loss = float("inf")

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether this epoch is the best so far."""
        loss = float(trainer.callback_metrics["val/loss"])
        tied = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        better = loss < self.best_loss if tied else super().check_monitor_top_k(trainer, current)
        better = bool(trainer.strategy.reduce_boolean_decision(better))
        if better:
            self.best_loss = loss
        return better

    def state_dict(self) -> dict[str, Any]:
        """Add the loss that decides between equals."""
        return {**super().state_dict(), "best_loss": self.best_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        super().load_state_dict(state_dict)
        self.best_loss = state_dict["best_loss"]
