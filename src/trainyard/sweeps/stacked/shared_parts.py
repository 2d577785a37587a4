"""The parts of jobs that train together: what is the same for all is built once."""

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
from trainyard.models.classifier import Classifier
from trainyard.models.feature_cache import FeatureCache, Inputs
from trainyard.models.transfer import TransferModel
from trainyard.run.run import Run
from trainyard.run.run_builder import RunBuilder
from trainyard.sweeps.stacked.fit_loop import StackedFitLoop
from trainyard.sweeps.stacked.late_checkpoints import LateLastCheckpoint, StackedCheckpointIO

Join = Callable[[L.Trainer, Sequence[logging.Handler]], None]


@dataclass
class Shared:
    """What the jobs of a stack have in common.

    Attributes:
        jobs: how many there are.
        data: read and split, its spec known.
        models: as they are built, by their seed, and where the random draws are then.
        features: of all images, and as they are served.
        graph: of the network.
    """

    jobs: int
    data: DataModule | None = None
    models: dict[int, tuple[Classifier, Tensor]] = field(default_factory=dict)
    features: tuple[Features, Inputs] | None = None
    graph: Any = None

    def move_to(self, device: torch.device) -> None:
        """Have the examples lie on the device of the first job, where the others find them instead of copying them."""
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
    """The parts of a job whose Trainer joins a stack instead of training by itself.

    Args:
        shared: with the other jobs, whose configs differ in optimizer, schedule, seed and logger only.
        join: called with the Trainer, and the handlers of the run's log, when it is ready.
    """

    def __init__(self, shared: Shared, join: Join) -> None:
        self.shared = shared
        self.join = join

    def check(self, cfg: DictConfig) -> None:
        """Do nothing: the sweep has checked all its jobs before the first began."""

    def data(self, cfg: DictConfig) -> DataModule:
        """Return the data with an order of its own."""
        if self.shared.data is None:
            self.shared.data = super().data(cfg)
            assert self.shared.data.spec, "it is made once, and the splits with it"
        data = copy(self.shared.data)
        data.order_seed, data.report = cfg.seed, dict(data.report)
        return data

    def model(self, cfg: DictConfig, data: DataModule) -> Classifier:
        """Return a model with weights, optimizer and schedule of its own; a frozen backbone is the same for all."""
        if cfg.seed not in self.shared.models:
            built = super().model(cfg, data)
            assert isinstance(built, Classifier)
            first, _ = next(iter(self.shared.models.values()), (built, None))
            if isinstance(built, TransferModel) and isinstance(first, TransferModel):
                built.backbone = first.backbone  # equal, for it was loaded
            self.shared.models[cfg.seed] = built, torch.get_rng_state()
        built, random_state = self.shared.models[cfg.seed]
        torch.set_rng_state(random_state)
        backbone = getattr(built, "backbone", None)
        model = deepcopy(built, {id(backbone): backbone})
        model.make_optimizer, model.make_scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
        return model

    def trainer(self, cfg: DictConfig, run: Run) -> L.Trainer:
        """Build the Trainer, whose epochs are the stack's work."""
        trainer = super().trainer(cfg, run)
        trainer.fit_loop = StackedFitLoop(trainer, lambda trainer: self.join(trainer, run.handlers))
        first, _ = next(iter(self.shared.models.values()))
        io = StackedCheckpointIO(self.shared.jobs, getattr(first, "backbone", None))
        trainer.strategy.checkpoint_io = io
        trainer.callbacks = [self.shared_callback(callback, io) for callback in trainer.callbacks]  # type: ignore[attr-defined]
        return trainer

    def shared_callback(self, callback: L.Callback, io: StackedCheckpointIO) -> L.Callback:
        """Return what takes the place of a callback in a stack."""
        if isinstance(callback, FeatureCache):
            return SharedFeatures(str(callback.folder.parent), self.shared)
        if isinstance(callback, DrawingBudget):
            callback.share /= self.shared.jobs  # all take the time of the stack
        if isinstance(callback, LastCheckpoint):
            return LateLastCheckpoint(Path(str(callback.dirpath)), io)
        return SharedGraph(self.shared) if isinstance(callback, ModelGraph) else callback


class SharedFeatures(FeatureCache):
    """A cache that is asked once for all jobs of a stack."""

    def __init__(self, folder: str, shared: Shared) -> None:
        super().__init__(folder)
        self.shared = shared

    def features(self, trainer: L.Trainer, model: TransferModel, data: DataModule) -> tuple[Features, Inputs]:
        """Return those that another job has asked for; for the cache they are there by then."""
        if self.shared.features is None:
            found, inputs = super().features(trainer, model, data)
            self.shared.features = replace(found, computed=False), inputs
            return found, inputs
        return self.shared.features


class SharedGraph(ModelGraph):
    """A graph that is traced once for all jobs of a stack."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def traced(self, model: L.LightningModule, example: Tensor) -> Any:
        """Return the graph of the first."""
        if self.shared.graph is None:
            self.shared.graph = super().traced(model, example)
        return self.shared.graph
