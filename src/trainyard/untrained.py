"""Data, model and Trainer of a config for inspection: nothing is trained, written or printed."""

from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.compatibility import check_model_fits_data
from trainyard.config import instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.models.classifier import Classifier
from trainyard.run_builder import run_builder
from trainyard.run_length import epoch_limit
from trainyard.trainers import NoProfiler


def data_of(cfg: DictConfig) -> DataModule:
    """Build the data.

    Raises:
        ConfigError: the config is invalid.
    """
    build = run_builder.get()
    build.check(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    data = build.data(cfg)
    check_model_fits_data(cfg, data.spec)
    return data


def model_of(cfg: DictConfig, data: DataModule, download: bool = False) -> Classifier:
    """Build the model; without `download`, pretrained weights are replaced by random ones of the same shapes.

    Raises:
        ConfigError: the config is invalid.
    """
    if not download and cfg.model.get("weights") == "pretrained":
        cfg.model.weights = "none"
    return run_builder.get().model(cfg, data)


def trainer_of(cfg: DictConfig, **changes: Any) -> L.Trainer:
    """Build the Trainer with changes, without loggers, checkpoints and progress bar."""
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
    quiet |= {"enable_progress_bar": False, "enable_model_summary": False, "profiler": NoProfiler()}
    return instantiate(cfg.trainer, **{"max_epochs": epoch_limit(cfg), **quiet, **changes})  # type: ignore[no-any-return]
