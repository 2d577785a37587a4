"""A fit of a few steps on one device, for what can only be known by trying; it leaves nothing behind."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.config import instantiate
from trainyard.untrained import trainer_of

ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}


@contextmanager
def short_fit(cfg: DictConfig, **changes: Any) -> Iterator[L.Trainer]:
    """Give a Trainer whose files go when it is done; bars that Lightning draws are for a terminal alone."""
    limits: dict[str, Any] = {"max_steps": -1, "max_time": None, "min_epochs": None, "min_steps": None}
    limits |= {"fast_dev_run": False, "val_check_interval": 1.0}
    with TemporaryDirectory() as folder:
        trainer = trainer_of(cfg, **ONE_DEVICE, **{**limits, **changes}, default_root_dir=folder)
        if sys.stderr.isatty():
            yield trainer
        else:
            with redirect_stderr(StringIO()):
                yield trainer


def feature_cache(cfg: DictConfig) -> list[L.Callback]:
    """Return the callback that lets a head learn from features, where the run has it: it changes what a step takes."""
    cache = (cfg.callbacks or {}).get("feature_cache")
    return [instantiate(cache)] if cache else []
