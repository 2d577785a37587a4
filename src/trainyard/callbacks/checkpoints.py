"""The checkpoints of a run: the best and the last."""

import logging
import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from trainyard.callbacks.checkpoint_files import is_intact
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.objective import Objective
from trainyard.io.files import relative

log = logging.getLogger(__name__)

SAVE_RATIO = 100  # minimum time between two saved epochs, as a multiple of the duration of the last save


class LastCheckpoint(ModelCheckpoint):
    """Saves `last.ckpt` at the end of each epoch, and between two steps at intervals.

    Lightning's `save_last` only saves when the best checkpoint changes too.

    Args:
        folder: of the file.
        every_minutes: interval in minutes of training; `None` for none.
        every_steps: interval in optimizer steps; `None` for none.
    """

    state_key = "LastCheckpoint"  # Lightning would compute a long one six times a step

    def __init__(self, folder: Path, every_minutes: float | None = None, every_steps: int | None = None) -> None:
        super().__init__(folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
        self.path = str(Path(str(self.dirpath)) / "last.ckpt")  # absolute, as Lightning's dirpath
        self.every_seconds = every_minutes * 60 if every_minutes else math.inf
        self.every_steps = every_steps
        self.saved_at = time.monotonic()
        self.save_seconds = 0.0

    def on_step_end(self, trainer: L.Trainer) -> None:
        if self.is_due(trainer) and is_between_steps(trainer):
            self.save(trainer)

    def on_train_batch_end(self, *arguments: Any, **more: Any) -> None:
        """Do nothing: later hooks of the batch may change what is saved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the stored path: it may name another file, which Lightning would remove."""
        self.best_model_path = self.path if state_dict["best_model_path"] else ""

    def is_due(self, trainer: L.Trainer) -> bool:
        """Whether an interval has passed; rank 0 decides."""
        if self.every_steps and trainer.global_step % self.every_steps == 0:
            return True
        overdue = time.monotonic() - self.saved_at > self.every_seconds
        if trainer.world_size > 1 and self.every_seconds < math.inf:
            return trainer.strategy.broadcast(overdue)
        return overdue

    def save(self, trainer: L.Trainer) -> None:
        """Save between two steps."""
        self.saved_at = time.monotonic()
        flush_loggers(trainer)
        trainer.save_checkpoint(self.path, self.save_weights_only)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, except after epochs that take hardly longer than saving, if a stopped run is saved inside an epoch."""
        start = time.monotonic()
        needed = is_last_epoch(trainer) or not resumes_inside_epoch(trainer)
        too_early = start - self.saved_at < SAVE_RATIO * self.save_seconds and not needed
        if trainer.strategy.reduce_boolean_decision(too_early):  # saving is collective, and clocks differ
            return
        flush_loggers(trainer)
        super().on_train_epoch_end(trainer, pl_module)
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - start


class BestCheckpoint(ModelCheckpoint):
    """Saves `best.ckpt`, the best epoch by the objective; a tie is decided by the lower `val/loss`, if it is logged.

    With few validation examples, many epochs share the best score, and the first of them is rarely the best model.

    Args:
        folder: of the file.
        objective: the metric to compare.
        scores: of the last validation; they are added to the checkpoint.
    """

    state_key = "BestCheckpoint"

    def __init__(self, folder: Path, objective: Objective, scores: ValidationScores) -> None:
        monitored = {"monitor": objective.name, "mode": objective.mode}
        super().__init__(folder, filename="best", **monitored, enable_version_counter=False)  # type: ignore[arg-type]
        self.scores = scores
        self.path = str(Path(str(self.dirpath)) / "best.ckpt")
        self.best_loss = math.inf
        self.intact = True  # whether a resumed run found an undamaged best.ckpt

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Whether this epoch is the best so far; rank 0 decides, since processes may log different scores."""
        loss, best = self.scores.latest.get("val/loss", math.inf), self.best_model_score
        if best is None or current is None:
            better = current is not None
        elif current == best:
            better = loss < self.best_loss
        else:
            better = bool(current < best if self.mode == "min" else current > best)
        better = trainer.strategy.broadcast(better)
        if better:
            self.best_loss = loss
        return better

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best_loss": self.best_loss}

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the scores of the last validation, the metrics of a run whose best epoch this is."""
        checkpoint["metrics"] = dict(self.scores.latest)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check `best.ckpt` before training resumes; rank 0 decides, since saving is collective."""
        if trainer.state.fn == TrainerFn.FITTING:
            self.intact = trainer.strategy.broadcast(is_intact(Path(self.path)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score; if `best.ckpt` is missing or damaged, start without one.

        The stored path is ignored: Lightning would discard the score of a run that was moved, and remove a file
        elsewhere.
        """
        best = self.path if state_dict["best_model_path"] else ""
        if best and not self.intact:
            log.warning("%s is missing or damaged: only the following epochs are compared", relative(Path(best)))
            return
        paths = {"best_model_path": best, "kth_best_model_path": best, "last_model_path": ""}
        scores = {best: state_dict["best_model_score"]} if best else {}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": scores})
        self.current_score = state_dict["current_score"]  # Lightning saves it, but does not restore it
        self.best_loss = state_dict["best_loss"]


def flush_loggers(trainer: L.Trainer) -> None:
    """Write all logged values to disk, because a run that resumes from the next checkpoint will not log them again."""
    for logger in trainer.loggers:
        logger.save()


def is_last_epoch(trainer: L.Trainer) -> bool:
    """Whether training ends with this epoch."""
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    limit_reached = (0 < epochs <= trainer.current_epoch + 1) or (0 <= steps <= trainer.global_step)
    return limit_reached or trainer.should_stop


def is_between_steps(trainer: L.Trainer) -> bool:
    """Whether a run can resume after this batch; see `trainyard.run.epoch_loop.EpochLoop`."""
    loop: Any = trainer.fit_loop.epoch_loop
    return bool(loop.is_between_steps)


def resumes_inside_epoch(trainer: L.Trainer) -> bool:
    """Whether the training loaders allow to resume inside an epoch; see `trainyard.run.loops.FitLoop`."""
    return getattr(trainer.fit_loop, "obstacle", None) is None
