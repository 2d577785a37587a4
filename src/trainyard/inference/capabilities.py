"""What the model and the data of a stored run provide: a report on predictions, files to read, methods of Lightning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import lightning as L
from omegaconf import DictConfig
from torch import Tensor

from trainyard.config.trusted import MODEL, check_target
from trainyard.data.loading.loader import Loader
from trainyard.data.loading.spec import Examples
from trainyard.history.find_run import run_at
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import config_error
from trainyard.models.supervised import SupervisedModel
from trainyard.run.compatibility import missing_method
from trainyard.run.load_model import load_model
from trainyard.run.rebuild import part_classes

NOT_INTERPRETED = "its model does not say what its outputs mean: it has no method interpret"


@runtime_checkable
class InterpretsOutputs(Protocol):
    """A module whose outputs have a meaning, such as probabilities."""

    def interpret(self, outputs: Tensor) -> Tensor:
        """Return the predictions for the outputs of `forward`."""


@runtime_checkable
class SplitsExamples(Protocol):
    """A data module whose splits and their labels can be read, compared and replaced."""

    def read(self) -> Mapping[str, Examples]:
        """Return the examples of the source by split."""

    def fingerprint_inputs(self, part: Examples) -> Tensor:
        """Return the values that represent the inputs of a split, `[N, ...]`."""

    def loader(self, split: str) -> Loader:
        """Return the loader of a split."""


def load_supervised_model(checkpoint: Path, trusted: Sequence[str] = ()) -> SupervisedModel:
    """Rebuild a model of Trainyard from its checkpoint; see `load_model`."""
    model = load_model(checkpoint, trusted, SupervisedModel)
    assert isinstance(model, SupervisedModel)
    return model


def has_report(cfg: DictConfig, trusted: Sequence[str] = ()) -> bool:
    """Return whether model and data of a stored config provide what a report on predictions needs."""
    if "model" not in cfg:  # a checkpoint of such a model rebuilds it
        return True
    model, data = part_classes(cfg, trusted)
    return issubclass(model, InterpretsOutputs) and issubclass(data, SplitsExamples)


def module_config(run: StoredRun, trusted: Sequence[str] = ()) -> DictConfig | None:
    """Return the config of a run for a module that only the config can rebuild; `None` if the checkpoint can."""
    stored = run.section("model")
    if not isinstance(stored, dict):
        return None
    kind = check_target("model._target_", stored.get("_target_"), MODEL, trusted)
    return None if issubclass(kind, InterpretsOutputs) else config_to_test(run, trusted=trusted)


def check_reads_files(name: str, checkpoint: Path, file: str, trusted: Sequence[str] = ()) -> None:
    """Raise a ConfigError if the model of a checkpoint does not describe the files that it can predict."""
    run = run_at(checkpoint)
    if run and (cfg := module_config(run, trusted)) is not None:
        model, data = part_classes(cfg, trusted)
        problem = f"{model.__qualname__} of {name} does not describe which files it takes"
        raise config_error("INPUT", file, problem, f"no INPUT: the predict_dataloader of {data.__qualname__} is used")


def check_provides(model: L.LightningModule, data: L.LightningDataModule, step: str, loader: str, run: str) -> None:
    """Raise a ConfigError if model or data of a run lack an optional method of Lightning; see `missing_method`."""
    if missing := missing_method(model, data, step, loader):
        raise config_error("RUN", run, missing, "a run whose model or data module defines it")
