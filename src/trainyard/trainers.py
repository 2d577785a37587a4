"""Lightning's Trainer with what every run has: checkpoints and progress."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig

from trainyard.callbacks.progress import Progress
from trainyard.config import instantiate, objective_mode
from trainyard.errors import reject
from trainyard.runs import Run

OBJECTIVES = ("val/acc", "val/loss")


def build_trainer(cfg: DictConfig, run: Run) -> L.Trainer:
    """Build the Trainer of a config: its callbacks and loggers, the best and the last checkpoint, and the progress.

    Raises:
        ConfigError: an objective that is not measured.
    """
    if cfg.objective not in OBJECTIVES:
        raise reject("objective", cfg.objective, "it is not measured on validation", " or ".join(OBJECTIVES))
    checkpoint = ModelCheckpoint(
        dirpath=run.dir / "checkpoints",
        filename="best",
        monitor=cfg.objective,
        mode=objective_mode(cfg.objective),
        save_last=True,
        enable_version_counter=False,  # a better one replaces best.ckpt
    )
    callbacks = [*build_parts(cfg.callbacks), checkpoint, Progress(run.dir)]
    return instantiate(  # type: ignore[no-any-return]
        cfg.trainer,
        callbacks=callbacks,
        logger=build_parts(cfg.logger),
        default_root_dir=str(run.dir),
        enable_model_summary=False,
    )


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build every part that a group of named parts holds; one that was set to null is left out."""
    return [instantiate(part) for part in (group or {}).values() if part is not None]
