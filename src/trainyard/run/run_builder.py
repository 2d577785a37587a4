"""Builds the data, the model and the Trainer of a run from its config."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning as L
import torch
from hydra.errors import InstantiationException
from lightning.pytorch.profilers import PassThroughProfiler
from omegaconf import DictConfig, OmegaConf
from torch import nn

from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
from trainyard.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from trainyard.callbacks.graceful_stop import GracefulStop
from trainyard.callbacks.portable_checkpoint import PortableCheckpoint
from trainyard.callbacks.process_state import ProcessState
from trainyard.callbacks.progress_bar import EpochReport, ProgressReporter
from trainyard.callbacks.schedule_interval import ScheduleInterval
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.callbacks.weight_average import WeightAverage
from trainyard.config.accepted import accepts
from trainyard.config.composition import instantiate
from trainyard.config.objective import AUTO, Objective
from trainyard.data.loading.spec import DescribesData
from trainyard.io.errors import config_error
from trainyard.io.extras import describe_missing
from trainyard.optim.optimizers import check_optimizer
from trainyard.optim.schedules import ScheduleFactory
from trainyard.run.loops import FitLoop
from trainyard.run.run import Run
from trainyard.run.run_length import epoch_limit

CORE_KEYS = ("objective", "default")  # of a task, which are no arguments of it
EXTRAS = ("wandb", "mlflow")  # logger options with a package of the same name
# A name, since sweeps import runs and not the reverse.
PRUNING = OmegaConf.create({"_target_": "trainyard.sweeps.pruning.Pruning"})


def build_trainer(cfg: DictConfig, run: Run) -> L.Trainer:
    """Build the Trainer, with the callbacks and loggers of the config and those of every run."""
    callbacks, loggers = build_callbacks(cfg, run), build_loggers(cfg)
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
    trainer.fit_loop = FitLoop(trainer, restore_stop=not run.config_changed)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]  # its limits are set; the run still saves, tests and logs
        trainer.fast_dev_run, trainer.loggers = False, loggers  # type: ignore[attr-defined]
    if isinstance(interval := cfg.trainer.get("val_check_interval"), str):
        trainer.val_check_interval = interval  # type: ignore[assignment]  # Lightning drops it; EarlyStopping reads it
    return trainer


def build_data(cfg: DictConfig) -> L.LightningDataModule:
    """Build the data module, with `augment` and `order_seed` if its constructor accepts them."""
    task = cfg.get("task") or {}
    arguments = {"augment": cfg.get("augment"), "order_seed": cfg.seed, "task": task.get("kind", AUTO)}
    return build_part(cfg, "data", arguments)  # type: ignore[no-any-return]


def build_model(cfg: DictConfig, data: L.LightningDataModule) -> L.LightningModule:
    """Build the model, with `spec`, `optimizer`, `scheduler`, `finetune` and `task` if its constructor accepts them."""
    described = {"spec": data.spec} if isinstance(data, DescribesData) else {}
    scheduler = ScheduleFactory(instantiate(cfg.scheduler)) if cfg.get("scheduler") else None
    groups = {"optimizer": cfg.get("optimizer"), "scheduler": scheduler, "finetune": cfg.get("finetune")}
    model: L.LightningModule = build_part(cfg, "model", {**described, **groups, "task": task_arguments(cfg)})
    if scheduler:
        scheduler.module = model
    return model


def build_model_to_train(cfg: DictConfig, data: L.LightningDataModule) -> L.LightningModule:
    """Build the model, with the memory format of the config and compiled if it says so."""
    check_optimizer(cfg)
    model = build_model(cfg, data)
    if uses_channels_last(cfg):
        use_channels_last(model)
    if cfg.compile:
        model.compile()
    return model


def build_part(cfg: DictConfig, part: str, arguments: Mapping[str, Any]) -> Any:
    """Build `data` or `model`, and pass those of the arguments that its constructor accepts; configs are built."""
    accepted = {name: value for name, value in arguments.items() if accepts(cfg, part, name)}
    built = {name: instantiate(value) if OmegaConf.is_config(value) else value for name, value in accepted.items()}
    return instantiate(cfg[part], **built)


def task_arguments(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of the task with its loss and its metrics, as plain values that a checkpoint can contain."""
    groups = {name: OmegaConf.to_container(cfg[name]) for name in ("task", "loss", "metrics") if cfg.get(name)}
    task: Any = groups.pop("task", {})
    return {**{name: value for name, value in task.items() if name not in CORE_KEYS}, **groups}


def uses_channels_last(cfg: DictConfig) -> bool:
    """Return whether convolutions are stored in `channels_last`.

    Some networks cannot process it: `view` requires a contiguous tensor. By default, it is used for models that accept
    a `spec`.
    """
    return accepts(cfg, "model", "spec") if cfg.get("channels_last") == "auto" else bool(cfg.get("channels_last"))


class NoProfiler(PassThroughProfiler):
    """A profiler without overhead: Lightning's default creates a generator some eighty times a step."""

    nothing: AbstractContextManager[None] = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self.nothing


QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "profiler": NoProfiler(),
}
"""Arguments of a Trainer that logs, saves and prints nothing."""


def build_callbacks(cfg: DictConfig, run: Run) -> list[L.Callback]:
    """Build the callbacks in the order in which Lightning calls them."""
    folder = run.dir / "checkpoints"
    last = LastCheckpoint(folder, **cfg.checkpoint)
    objective, scores = Objective.from_config(cfg), ValidationScores(cfg.objective)
    reporter = ProgressReporter(scores)
    pruning = {"folder": run.dir, "objective": cfg.objective, "pruner": cfg.sweep.pruner}
    return [
        scores,
        *build_parts(cfg.callbacks),
        ScheduleInterval(),
        *([WeightAverage(decay=cfg.ema_decay)] if cfg.ema_decay else []),
        EpochReport(reporter),
        BestCheckpoint(folder, objective, scores),
        last,
        reporter,
        *([] if cfg.sweep.pruner == "none" else [instantiate(PRUNING, **pruning)]),
        PortableCheckpoint(),
        ProcessState(),
        GracefulStop(run.signals, last),
    ]


def build_loggers(cfg: DictConfig) -> list[Any]:
    """Build the loggers, or raise a ConfigError if the package of one is not installed or fails to import."""
    try:
        return build_parts(cfg.logger)
    except InstantiationException as error:
        choice = cfg.run.choices.logger
        if not isinstance(error.__cause__, ImportError) or choice not in EXTRAS:
            raise
        problem, accepted = describe_missing(choice, (choice,), error.__cause__)
        raise config_error("logger", choice, problem, f"{accepted}; without it, logger=both") from error


def build_parts(group: DictConfig | None) -> list[Any]:
    """Build every part of a config group that is not null."""
    return [instantiate(part) for part in (group or {}).values() if part is not None]


def use_channels_last(model: nn.Module) -> None:
    """Store convolution kernels in `channels_last`, unless oneDNN has a defect with one of the layers.

    In torch 2.13, the backward pass of oneDNN's AVX2 kernel for a 1x1 convolution with a stride writes outside its
    memory for fewer than 8 input channels: the process crashes, or continues with wrong numbers.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if not any(c.kernel_size == (1, 1) and c.stride != (1, 1) and c.in_channels < 8 for c in convolutions):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
