"""The data and the model of a run before its first step, and a Trainer that leaves nothing behind."""

from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.compatibility import check_model_fits_data
from trainyard.config import instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.models.classifier import Classifier
from trainyard.no_profiler import NoProfiler
from trainyard.run_builder import run_builder
from trainyard.run_length import epoch_limit


def data_of(cfg: DictConfig) -> DataModule:
    """Build the data of a config that has been checked.

    Raises:
        ConfigError: something in the config cannot work.
    """
    build = run_builder.get()
    build.check(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    data = build.data(cfg)
    check_model_fits_data(cfg, data.spec)
    return data


def model_of(cfg: DictConfig, data: DataModule, download: bool = False) -> Classifier:
    """Build the model; weights that would be downloaded are random unless they are asked for: the shapes are the same.

    Raises:
        ConfigError: something in the config cannot work.
    """
    if not download and cfg.model.get("weights") == "pretrained":
        cfg.model.weights = "none"
    return run_builder.get().model(cfg, data)


def trainer_of(cfg: DictConfig, **changes: Any) -> L.Trainer:
    """Build the Trainer with changes, and without what writes or prints."""
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
    quiet |= {"enable_progress_bar": False, "enable_model_summary": False, "profiler": NoProfiler()}
    return instantiate(cfg.trainer, **{"max_epochs": epoch_limit(cfg), **quiet, **changes})  # type: ignore[no-any-return]
