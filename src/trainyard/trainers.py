"""Lightning's Trainer with what every run has: checkpoints and progress."""

from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.callbacks.best_checkpoint import BestCheckpoint
from trainyard.callbacks.progress import Progress
from trainyard.callbacks.run_log import RunLog
from trainyard.config import instantiate
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
    checkpoints = BestCheckpoint(run.dir / "checkpoints", cfg.objective)
    callbacks = [RunLog(run.dir / "run.log"), *build_parts(cfg.callbacks), checkpoints, Progress()]
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
