"""Data, model and Trainer of a composed config, for inspection and short trials that leave no files."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
from lightning.pytorch.utilities.model_helpers import is_overridden
from omegaconf import DictConfig, OmegaConf

from trainyard.config.accepted import accepts, can_set, has_backbone, remove_unused
from trainyard.config.composition import instantiate
from trainyard.config.objective import AUTO
from trainyard.config.task_option import choose_task
from trainyard.data.loading.spec import target_kind
from trainyard.io.errors import config_error
from trainyard.run.compatibility import check_config, check_model_fits_data
from trainyard.run.precision import FULL
from trainyard.run.run_builder import QUIET, build_data, build_model_to_train
from trainyard.run.run_length import epoch_limit

RATES = ("lr", "learning_rate")  # parameters of models that are learning rates


def untrained_data(cfg: DictConfig) -> L.LightningDataModule:
    """Check the config and build its data."""
    remove_unused(cfg)
    check_config(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    data = build_data(cfg)
    check_model_fits_data(cfg, data)
    choose_task(cfg, target_kind(data))
    if cfg.trainer.get("precision") == AUTO:  # only a run is long enough to time steps
        cfg.trainer.precision = FULL
    return data


def untrained_model(cfg: DictConfig, data: L.LightningDataModule, download: bool = False) -> L.LightningModule:
    """Build the model; without `download`, random weights replace the pretrained ones of a backbone."""
    if not download and has_backbone(cfg) and cfg.model.get("weights") == "pretrained":
        cfg.model.weights = "none"
    return build_model_to_train(cfg, data)


def check_optimizes(cfg: DictConfig, model: L.LightningModule) -> None:
    """Raise a ConfigError unless Lightning steps the optimizer of a model."""
    chosen = cfg.run.choices.model
    if not is_overridden("configure_optimizers", model):
        raise config_error("model", chosen, "has no configure_optimizers", "a model that has an optimizer")
    if not model.automatic_optimization:
        raise config_error("model", chosen, "steps its optimizers itself", "a model with automatic optimization")


def learning_rate_key(cfg: DictConfig) -> str:
    """Return the key that sets the learning rate; empty if the config has none."""
    if accepts(cfg, "model", "optimizer"):
        return "optimizer.lr"
    own = cfg.model.get("optimizer")
    if OmegaConf.is_dict(own) and "_target_" in own:
        return "model.optimizer.lr"
    return next((f"model.{name}" for name in RATES if can_set(cfg, "model", name)), "")


def build_trainer(cfg: DictConfig, **changes: Any) -> L.Trainer:
    """Build the Trainer with changed arguments, which logs, saves and prints nothing."""
    return instantiate(cfg.trainer, **{"max_epochs": epoch_limit(cfg), **QUIET, **changes})  # type: ignore[no-any-return]


@contextmanager
def trial_trainer(cfg: DictConfig, **changes: Any) -> Iterator[L.Trainer]:
    """Yield a Trainer for a few steps on one device, whose files are deleted afterwards."""
    one_device = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    limits: dict[str, Any] = {"max_steps": -1, "max_time": None, "min_epochs": None, "min_steps": None}
    limits |= {"fast_dev_run": False, "val_check_interval": 1.0}
    quiet = nullcontext() if sys.stderr.isatty() else redirect_stderr(StringIO())  # progress bars of Lightning
    with TemporaryDirectory() as folder, quiet, logging_disabled():
        yield build_trainer(cfg, **{**one_device, **limits, **changes}, default_root_dir=folder)


@contextmanager
def logging_disabled() -> Iterator[None]:
    """Hide what a run logs at its start."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def feature_cache(cfg: DictConfig) -> list[L.Callback]:
    """Return the run's callback that caches features of the backbone, since it changes the training step."""
    cache = (cfg.callbacks or {}).get("feature_cache")
    return [instantiate(cache)] if cache else []
