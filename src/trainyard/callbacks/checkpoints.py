"""The checkpoints of a run: the best and the last."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.checkpoint_files import is_intact
from trainyard.config import objective_mode
from trainyard.files import relative

log = logging.getLogger(__name__)

PATIENCE = 100  # times as long as the last saving took


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt`, of each epoch's end and, in long epochs, of steps between.

    Lightning's `save_last` writes one only when the best changed too.

    Args:
        folder: where it goes.
        every_minutes: of training; `None` for none.
        every_steps: of the optimizer; `None` for none.
    """

    state_key = "LastCheckpoint"  # Lightning makes a long one anew six times a step

    def __init__(self, folder: Path, every_minutes: float | None = None, every_steps: int | None = None) -> None:
        super().__init__(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
        self.path = str(Path(str(self.dirpath)) / "last.ckpt")  # absolute, as Lightning makes it
        self.every_seconds = every_minutes * 60 if every_minutes else float("inf")
        self.every_steps = every_steps
        self.saved = time.monotonic()
        self.took = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and a run can go on from here."""
        if self.is_time(trainer) and between_steps(trainer):
            self.save(trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over no path: Lightning would remove the file that a state names, which may come from someone else."""
        self.best_model_path = self.path if state_dict["best_model_path"] else ""

    def is_time(self, trainer: L.Trainer) -> bool:
        """Whether it is time; the first process says so for all."""
        if self.every_steps and trainer.global_step % self.every_steps == 0:
            return True
        late = time.monotonic() - self.saved > self.every_seconds
        return trainer.strategy.broadcast(late) if trainer.world_size > 1 and self.every_seconds < math.inf else late

    def save(self, trainer: L.Trainer) -> None:
        """Save, in the middle of an epoch; what was logged before is written too, since it will not come again."""
        self.saved = time.monotonic()
        write_logs(trainer)
        trainer.save_checkpoint(self.path, self.save_weights_only)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, but of epochs that are hardly longer than that not each; what was logged before is written too."""
        began = time.monotonic()
        early = began - self.saved < PATIENCE * self.took and not is_last(trainer)
        if trainer.strategy.reduce_boolean_decision(early):  # saving takes all processes, whose clocks differ
            return
        write_logs(trainer)
        super().on_train_epoch_end(trainer, pl_module)
        self.saved = time.monotonic()
        self.took = self.saved - began


def write_logs(trainer: L.Trainer) -> None:
    """Have the disk hold all that was logged: what a checkpoint says is done will not be logged again."""
    for logger in trainer.loggers:
        logger.save()
    if writer := tensorboard_writer(trainer):
        writer.flush()


def is_last(trainer: L.Trainer) -> bool:
    """Whether training ends with this epoch."""
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    over = (0 < epochs <= trainer.current_epoch + 1) or (0 <= steps <= trainer.global_step)
    return over or trainer.should_stop


def between_steps(trainer: L.Trainer) -> bool:
    """Whether a run can go on from the end of this batch: no gradient is half added up, and no validation is due."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return not (loop._should_accumulate() or loop._num_ready_batches_reached() or loop._should_check_val_fx(fetcher))


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
        self.intact = True  # the file of the best epoch in the checkpoint that is resumed

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

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check the best checkpoint; the first process decides for all, since saving is collective."""
        best = Path(str(self.dirpath)) / "best.ckpt"
        self.intact = trainer.strategy.broadcast(is_intact(best))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epoch; if `best.ckpt` is damaged, the best is chosen among the epochs to come.

        The best epoch is that of `best.ckpt` in this directory, wherever the run was when it wrote the state: Lightning
        would forget the score of a run that has moved, and remove a file elsewhere.
        """
        if self.intact or not state_dict["best_model_path"]:
            best = str(Path(str(self.dirpath)) / "best.ckpt") if state_dict["best_model_path"] else ""
            paths = {"best_model_path": best, "kth_best_model_path": best, "last_model_path": ""}
            scores = {best: state_dict["best_model_score"]} if best else {}
            super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": scores})
            self.current_score = state_dict["current_score"]  # Lightning saves it, but does not restore it
            self.best_loss = state_dict["best_loss"]
        else:
            best = relative(Path(str(self.dirpath)) / "best.ckpt")
            log.warning("%s is missing or damaged: the best is chosen among the epochs to come", best)
