"""Lightning's Trainer with what every run has: checkpoints and progress."""

from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from omegaconf import DictConfig

from trainyard.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from trainyard.callbacks.interruption import Interruption
from trainyard.callbacks.process_group import ProcessGroup
from trainyard.callbacks.process_state import ProcessState
from trainyard.callbacks.progress import Progress
from trainyard.callbacks.pruning import Pruning
from trainyard.callbacks.weight_average import WeightAverage
from trainyard.checkpoint_files import PacedCheckpointIO
from trainyard.config import instantiate
from trainyard.errors import reject
from trainyard.loops import FitLoop
from trainyard.no_profiler import NoProfiler
from trainyard.run_length import epoch_limit
from trainyard.runs import Run


def build_trainer(cfg: DictConfig, run: Run) -> L.Trainer:
    """Build the Trainer of a config: its callbacks and loggers, the best and the last checkpoint, and the progress."""
    folder = run.dir / "checkpoints"
    last = LastCheckpoint(folder, **cfg.checkpoint)
    checkpoints = [BestCheckpoint(folder, cfg.objective), last]
    average = [WeightAverage(decay=cfg.ema_decay)] if cfg.ema_decay else []
    pruning = [] if cfg.sweep.pruner == "none" else [Pruning(run.dir, cfg.objective, cfg.sweep.pruner)]
    callbacks = [
        *build_parts(cfg.callbacks),
        *average,
        *checkpoints,
        Progress(),
        *pruning,
        ProcessState(),
        Interruption(run.signals, last),
        ProcessGroup(),
    ]
    loggers = build_loggers(cfg)
    trainer: L.Trainer = instantiate(
        cfg.trainer,
        max_epochs=epoch_limit(cfg),
        **({} if cfg.trainer.get("profiler") else {"profiler": NoProfiler()}),
        **({} if cfg.trainer.get("plugins") else {"plugins": [PacedCheckpointIO()]}),
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=str(run.dir),
        enable_model_summary=False,
    )
    trainer.fit_loop = FitLoop(trainer, restore_stop=not run.changes)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # its limits are set; the run still has a checkpoint to test, and scores to write
        trainer.fast_dev_run, trainer.loggers = False, loggers  # type: ignore[attr-defined]
    if isinstance(interval := cfg.trainer.get("val_check_interval"), str):
        trainer.val_check_interval = interval  # type: ignore[assignment]  # early stopping reads it, Lightning forgot it
    return trainer


def build_loggers(cfg: DictConfig) -> list[Any]:
    """Build the loggers, or say which extra brings the package that one needs."""
    try:
        return build_parts(cfg.logger)
    except InstantiationException as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        choice = cfg.run.choices.logger
        accepted = f"after `pip install 'trainyard[{choice}]'`; without it, logger=both"
        raise reject("logger", choice, "its package is not installed", accepted) from error


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build every part that a group of named parts holds; one that was set to null is left out."""
    return [instantiate(part) for part in (group or {}).values() if part is not None]
