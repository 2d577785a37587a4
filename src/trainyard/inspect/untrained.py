"""Data, model and Trainer of a composed config, for inspection and short trials that leave no files."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.config.accepted import remove_unused
from trainyard.config.composition import instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.models.classifier import Classifier
from trainyard.run.compatibility import check_model_fits_data
from trainyard.run.run_builder import QUIET, run_builder
from trainyard.run.run_length import epoch_limit


def build_data(cfg: DictConfig) -> DataModule:
    """Check the config and build its data."""
    builder = run_builder.get()
    remove_unused(cfg)
    builder.check(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    data = builder.data(cfg)
    check_model_fits_data(cfg, data)
    assert isinstance(data, DataModule)
    return data


def build_model(cfg: DictConfig, data: DataModule, download: bool = False) -> Classifier:
    """Build the model; without `download`, random weights replace pretrained ones."""
    if not download and cfg.model.get("weights") == "pretrained":
        cfg.model.weights = "none"
    model = run_builder.get().model(cfg, data)
    assert isinstance(model, Classifier)
    return model


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
    logging.disable(logging.INFO)  # each trial would log what a run logs
    try:
        with TemporaryDirectory() as folder, quiet:
            yield build_trainer(cfg, **{**one_device, **limits, **changes}, default_root_dir=folder)
    finally:
        logging.disable(logging.NOTSET)


def feature_cache(cfg: DictConfig) -> list[L.Callback]:
    """Return the run's callback that caches features of the backbone, since it changes the training step."""
    cache = (cfg.callbacks or {}).get("feature_cache")
    return [instantiate(cache)] if cache else []
