"""A job of a stack: calls the hooks of its Trainer, which is in the middle of a fit."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.call import _call_callback_hooks as call_hooks
from torch import Tensor, nn

from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.data.loading.loader import Loader
from trainyard.models.mlp import MLP
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.sweeps.stacked.job_thread import JobThread
from trainyard.sweeps.stacked.progress_counters import set_counters
from trainyard.sweeps.stacked.stacked_checkpoints import StackedLastCheckpoint
from trainyard.terminal.logs import resume_log

SAVE_EVERY = 1.0  # seconds between two writes of the curves, since each waits for the disk


class Member:
    """A job of a stack, with its model, optimizer, schedules and data loaders.

    Attributes:
        seed: of the order of the examples.

    Args:
        trainer: waits in its `StackedFitLoop`.
        thread: the paused thread of the job.
        handlers: of the log of the job.
    """

    def __init__(self, trainer: L.Trainer, thread: JobThread, handlers: Sequence[logging.Handler]) -> None:
        self.trainer, self.thread, self.handlers = trainer, thread, handlers
        model = trainer.lightning_module
        assert isinstance(model, SupervisedModel)
        self.model = model
        train_loader, val_loader = trainer.train_dataloader, trainer.val_dataloaders
        assert isinstance(train_loader, Loader)
        assert isinstance(val_loader, Loader)
        self.train_loader, self.val_loader = train_loader, val_loader
        self.seed = self.train_loader.sampler.seed
        [self.optimizer] = trainer.optimizers
        self.schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.saved_at = time.monotonic()
        self.random_state = torch.get_rng_state()
        self.set_epoch(1)

    @property
    def network(self) -> nn.Sequential:
        """The trainable layers."""
        if isinstance(self.model, TransferModel):
            return nn.Sequential(self.model.head)
        assert isinstance(self.model, MLP)
        return self.model.net

    def inputs(self, x: Tensor) -> Tensor:
        """Return the inputs of the network for raw examples or cached features: `[B, ...]` -> `[B, F]`."""
        inputs = x if isinstance(self.model, TransferModel) else self.model.normalize(x).flatten(1)
        return self.trainer.precision_plugin.convert_input(inputs)  # type: ignore[no-any-return]

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Set the Trainer's epoch, counted from 1, and its number of finished batches."""
        val_batches = len(self.val_loader) if epoch > 1 or batch == len(self.train_loader) else 0
        self.train_loader.next_batch = batch
        set_counters(self.trainer, epoch, len(self.train_loader), batch, val_batches)

    def begin_batch(self, epoch: int, batch: int, x: Tensor, y: Tensor) -> None:
        """Call the hooks before a batch, which log the learning rate and the first images."""
        with resume_log(self.handlers):
            self.set_epoch(epoch, batch)
            call_hooks(self.trainer, "on_train_batch_start", (x, y), batch)

    def before_step(self, epoch: int, batch: int, last: bool) -> None:
        """Call the hooks before an optimizer step, which log gradients."""
        self.set_epoch(epoch, batch)
        loop: Any = self.trainer.fit_loop.epoch_loop
        loop.batch_progress.is_last_batch, loop.step_is_open = last, True
        with resume_log(self.handlers):
            call_hooks(self.trainer, "on_before_optimizer_step", self.optimizer)
        loop.step_is_open = False

    def end_epoch(self, epoch: int, scores: dict[str, float], last: bool) -> None:
        """Log the scores of an epoch, and call the hooks that save checkpoints and print the scores."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, StackedLastCheckpoint):
                callback.is_last_epoch = last
            elif isinstance(callback, ValidationScores):
                callback.on_validation_start(self.trainer, self.model)
        trainer = self.trainer
        with resume_log(self.handlers):
            torch.set_rng_state(self.random_state)
            self.set_epoch(epoch, len(self.train_loader))
            metrics = {name: torch.tensor(value) for name, value in scores.items()}
            rounded = {name: float(metric) for name, metric in metrics.items()}  # to float32, as in a single run
            trainer.callback_metrics.update(metrics)
            step = trainer.global_step - 1
            save = last or time.monotonic() - self.saved_at > SAVE_EVERY
            for logger in trainer.loggers:
                logger.log_metrics({**rounded, "epoch": epoch - 1}, step)
                if save:
                    logger.save()
            self.saved_at = time.monotonic() if save else self.saved_at
            trainer.fit_loop.epoch_loop.validated_step = trainer.global_step
            call_hooks(trainer, "on_validation_end")
            call_hooks(trainer, "on_train_epoch_end", monitoring_callbacks=False)
            call_hooks(trainer, "on_train_epoch_end", monitoring_callbacks=True)

    def report_non_finite(self, epoch: int, batch: int, loss: float, inputs_are_finite: bool) -> None:
        """Raise the error of a loss that is not finite, if the callback that checks it is configured."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, FiniteLoss):
                self.set_epoch(epoch, batch)
                callback.stop(self.trainer, inputs_are_finite, loss, 0)
