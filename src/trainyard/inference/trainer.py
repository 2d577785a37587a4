"""The Trainer that tests and predicts as that of a run does, and writes nothing."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import DictConfig

from trainyard.io.errors import config_error, join_limited
from trainyard.run.compatibility import available_accelerators
from trainyard.run.load_model import read_weights
from trainyard.run.rebuild import expect_weights
from trainyard.run.run_builder import QUIET, use_channels_last, uses_channels_last

# Arguments that affect the outputs. A single process computes them, however many trained.
ARGUMENTS = ("accelerator", "precision", "deterministic", "benchmark", "inference_mode")
LIMITS = ("limit_test_batches", "limit_predict_batches")


def build_inference_trainer(cfg: DictConfig, **changes: Any) -> L.Trainer:
    """Build the Trainer with the arguments of a stored config, and changed ones."""
    accelerator = str(cfg.trainer.get("accelerator", "auto"))
    available = ["auto", *available_accelerators()]
    if accelerator not in available:
        accepted = " or ".join(f"trainer.accelerator={name}" for name in available)
        raise config_error("trainer.accelerator", accelerator, f"there is no {accelerator} device here", accepted)
    options: dict[str, Any] = {key: cfg.trainer[key] for key in (*ARGUMENTS, *LIMITS) if key in cfg.trainer}
    try:
        return L.Trainer(**options, **{**QUIET, **changes}, devices=1)
    except (MisconfigurationException, ValueError) as error:
        raise config_error("trainer", join_limited(map(str, options.values())), str(error).splitlines()[0]) from error


def prepare_inference(model: L.LightningModule, checkpoint: Path, cfg: DictConfig) -> L.Trainer:
    """Return a Trainer for a rebuilt model, which then accepts only the weights that fit it.

    Raises:
        ConfigError: the checkpoint is damaged.
    """
    read_weights(checkpoint)  # its errors name the file
    expect_weights(model, checkpoint)
    apply_model_options(model, cfg)
    return build_inference_trainer(cfg, logger=DummyLogger())  # for modules that use `self.logger.experiment`


@contextmanager
def without_training_callbacks() -> Iterator[None]:
    """Hide Lightning's warning that the callbacks of the training are missing, which do nothing in a test."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`")
        yield


def apply_model_options(model: L.LightningModule, cfg: DictConfig) -> None:
    """Set memory format and compilation as in the run: the order of sums depends on them."""
    if uses_channels_last(cfg):
        use_channels_last(model)
    if cfg.get("compile"):
        model.compile()
