"""Builds the Trainer of a run: callbacks, loggers, checkpoints and progress."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from lightning.pytorch.profilers import PassThroughProfiler
from omegaconf import DictConfig, OmegaConf

from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
from trainyard.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from trainyard.callbacks.graceful_stop import GracefulStop
from trainyard.callbacks.process_state import ProcessState
from trainyard.callbacks.progress_bar import ProgressReporter
from trainyard.callbacks.run_length import epoch_limit
from trainyard.callbacks.weight_average import WeightAverage
from trainyard.config.composition import instantiate
from trainyard.io.errors import config_error
from trainyard.io.extras import describe_missing
from trainyard.run.loops import FitLoop
from trainyard.run.run import Run

EXTRAS = ("wandb", "mlflow")  # logger options with a package of the same name
# By name, since sweeps are in a higher layer.
PRUNING = OmegaConf.create({"_target_": "trainyard.sweeps.pruning.Pruning"})


class NoProfiler(PassThroughProfiler):
    """A profiler without overhead: Lightning's default creates a generator some eighty times a step."""

    nothing: AbstractContextManager[None] = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self.nothing


def build_trainer(cfg: DictConfig, run: Run) -> L.Trainer:
    """Build the Trainer with the callbacks and loggers of the config, and the callbacks of every run."""
    folder = run.dir / "checkpoints"
    last = LastCheckpoint(folder, **cfg.checkpoint)
    average = [WeightAverage(decay=cfg.ema_decay)] if cfg.ema_decay else []
    pruned = {"folder": run.dir, "objective": cfg.objective, "pruner": cfg.sweep.pruner}
    pruning = [] if cfg.sweep.pruner == "none" else [instantiate(PRUNING, **pruned)]
    callbacks = [
        *build_parts(cfg.callbacks),
        *average,
        BestCheckpoint(folder, cfg.objective),
        last,
        ProgressReporter(),
        *pruning,
        ProcessState(),
        GracefulStop(run.signals, last),
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
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # the limits are set; saving, testing and logging are wanted
        trainer.fast_dev_run, trainer.loggers = False, loggers  # type: ignore[attr-defined]
    if isinstance(interval := cfg.trainer.get("val_check_interval"), str):
        trainer.val_check_interval = interval  # type: ignore[assignment]  # early stopping reads it, and Lightning has replaced it
    return trainer


def build_loggers(cfg: DictConfig) -> list[Any]:
    """Build the loggers.

    Raises:
        ConfigError: the package of a logger is not installed or fails to import; the message contains the command.
    """
    try:
        return build_parts(cfg.logger)
    except InstantiationException as error:
        choice = cfg.run.choices.logger
        if not isinstance(error.__cause__, ImportError) or choice not in EXTRAS:
            raise
        problem, accepted = describe_missing(choice, (choice,), error.__cause__)
        raise config_error("logger", choice, problem, f"{accepted}; without it, logger=both") from error


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build all parts of a config group that are not null."""
    return [instantiate(part) for part in (group or {}).values() if part is not None]
