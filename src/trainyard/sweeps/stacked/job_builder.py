"""Builds the parts of stacked jobs; parts that are equal in all jobs are built once."""

import logging
from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.callbacks.tensorboard import DrawingBudget
from trainyard.callbacks.tensorboard_model import ModelGraph
from trainyard.config.composition import instantiate
from trainyard.data.cache.features import Features
from trainyard.data.loading.datamodule import DataModule
from trainyard.models.feature_cache import FeatureCache, Inputs
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.run.run import Run
from trainyard.run.run_builder import RunBuilder
from trainyard.sweeps.stacked.fit_loop import StackedFitLoop
from trainyard.sweeps.stacked.stacked_checkpoints import StackedCheckpointIO, StackedLastCheckpoint

Join = Callable[[L.Trainer, Sequence[logging.Handler]], None]


@dataclass
class SharedParts:
    """Parts that the jobs of a stack share.

    Attributes:
        jobs: number of jobs.
        data: loaded and split.
        models: new models by their seed, with the random state after they were built.
        features: cached features of all images, and the inputs of each split.
        graph: of the network, for TensorBoard.
    """

    jobs: int
    data: DataModule | None = None
    models: dict[int, tuple[SupervisedModel, Tensor]] = field(default_factory=dict)
    features: tuple[Features, Inputs] | None = None
    graph: Any = None

    def move_to(self, device: torch.device) -> None:
        """Move the examples to the device of the first job, so that the others do not copy them."""
        if self.data is None or device.type == "cpu":
            return
        if self.features:
            found, inputs = self.features
            self.features = found, {name: x.to(device) if isinstance(x, Tensor) else x for name, x in inputs.items()}
            return
        for name, part in self.data.splits.items():
            if isinstance(part.x, Tensor):
                self.data.splits[name] = replace(part, x=part.x.to(device), y=part.y.to(device))


class JobBuilder(RunBuilder):
    """Builds a job whose Trainer joins a stack instead of training alone.

    Args:
        shared: parts of all jobs, whose configs differ in optimizer, schedule, seed and logger only.
        join: called with the Trainer and the log handlers of the run when it is ready.
    """

    def __init__(self, shared: SharedParts, join: Join) -> None:
        self.shared = shared
        self.join = join

    def check(self, cfg: DictConfig) -> None:
        """Do nothing: the sweep has checked all jobs before it started."""

    def data(self, cfg: DictConfig) -> DataModule:
        """Return the shared data, with the job's order of examples."""
        if self.shared.data is None:
            built = super().data(cfg)
            assert isinstance(built, DataModule)
            assert built.spec  # loads and splits the data
            self.shared.data = built
        data = copy(self.shared.data)
        data.order_seed, data.report = cfg.seed, dict(data.report)
        return data

    def model(self, cfg: DictConfig, data: L.LightningDataModule) -> SupervisedModel:
        """Return a model with its own weights, optimizer and schedule; a frozen backbone is shared."""
        if cfg.seed not in self.shared.models:
            built = super().model(cfg, data)
            assert isinstance(built, SupervisedModel)
            first, _ = next(iter(self.shared.models.values()), (built, None))
            if isinstance(built, TransferModel) and isinstance(first, TransferModel):
                built.backbone = first.backbone  # loaded from the same file
            self.shared.models[cfg.seed] = built, torch.get_rng_state()
        built, random_state = self.shared.models[cfg.seed]
        torch.set_rng_state(random_state)
        backbone = getattr(built, "backbone", None)
        model = deepcopy(built, {id(backbone): backbone})
        model.make_optimizer, model.make_scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
        return model

    def trainer(self, cfg: DictConfig, run: Run) -> L.Trainer:
        """Build a Trainer whose epochs are trained by the stack."""
        trainer = super().trainer(cfg, run)
        trainer.fit_loop = StackedFitLoop(trainer, lambda trainer: self.join(trainer, run.handlers))
        first, _ = next(iter(self.shared.models.values()))
        io = StackedCheckpointIO(self.shared.jobs, getattr(first, "backbone", None))
        trainer.strategy.checkpoint_io = io
        trainer.callbacks = [self.shared_callback(callback, io) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        return trainer

    def shared_callback(self, callback: L.Callback, io: StackedCheckpointIO) -> L.Callback:
        """Return the callback that replaces a callback in a stack."""
        if isinstance(callback, FeatureCache):
            return SharedFeatures(str(callback.folder.parent), self.shared)
        if isinstance(callback, DrawingBudget):
            callback.share /= self.shared.jobs  # all jobs draw within the time of the stack
        if isinstance(callback, LastCheckpoint):
            return StackedLastCheckpoint(Path(str(callback.dirpath)), io)
        return SharedGraph(self.shared) if isinstance(callback, ModelGraph) else callback


class SharedFeatures(FeatureCache):
    """Computes or loads the features once for all jobs of a stack."""

    def __init__(self, folder: str, shared: SharedParts) -> None:
        super().__init__(folder)
        self.shared = shared

    def features(self, trainer: L.Trainer, model: TransferModel, data: DataModule) -> tuple[Features, Inputs]:
        """Return the shared features; for other jobs, they come from the cache."""
        if self.shared.features is None:
            found, inputs = super().features(trainer, model, data)
            self.shared.features = replace(found, computed=False), inputs
            return found, inputs
        return self.shared.features


class SharedGraph(ModelGraph):
    """Traces the network once for all jobs of a stack."""

    def __init__(self, shared: SharedParts) -> None:
        self.shared = shared

    def trace(self, model: L.LightningModule, example: Tensor) -> Any:
        """Return the shared graph."""
        if self.shared.graph is None:
            self.shared.graph = super().trace(model, example)
        return self.shared.graph
