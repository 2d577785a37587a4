"""Builds the data, the model and the Trainer of a run from its config."""

from contextvars import ContextVar

import lightning as L
from omegaconf import DictConfig

from trainyard.config.arguments import has_backbone
from trainyard.config.composition import instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.splits import check_splits_not_empty
from trainyard.data.loading.statistics import warn_about_missing_classes
from trainyard.optim.optimizers import check_optimizer
from trainyard.run.compatibility import check_config
from trainyard.run.memory_format import use_channels_last
from trainyard.run.run import Run
from trainyard.run.trainers import build_trainer


class RunBuilder:
    """Builds what a run consists of; runs that are trained together share some of it (see `sweeps.stacked`)."""

    def check(self, cfg: DictConfig) -> None:
        """Raise a ConfigError for the first problem in the config."""
        check_config(cfg)

    def data(self, cfg: DictConfig) -> DataModule:
        """Build the data, with its augmentation."""
        return instantiate(cfg.data, augment=instantiate(cfg.augment), order_seed=cfg.seed)  # type: ignore[no-any-return]

    def model(self, cfg: DictConfig, data: DataModule) -> L.LightningModule:
        """Build the model with its optimizer, schedule and fine-tuning plan."""
        check_splits_not_empty(data.splits)
        warn_about_missing_classes(data.splits, data.classes)
        check_optimizer(cfg)
        groups = ["optimizer", "scheduler", *(["finetune"] if has_backbone(cfg) else [])]
        parts = {name: instantiate(cfg[name]) for name in groups}
        model: L.LightningModule = instantiate(cfg.model, spec=data.spec, **parts)
        if cfg.channels_last:
            use_channels_last(model)
        if cfg.compile:
            model.compile()
        return model

    def trainer(self, cfg: DictConfig, run: Run) -> L.Trainer:
        """Build the Trainer."""
        return build_trainer(cfg, run)


run_builder: ContextVar[RunBuilder] = ContextVar("run_builder", default=RunBuilder())  # noqa: B039  # stateless
"""The builder that `trainyard.run.training.train` uses in this thread."""
