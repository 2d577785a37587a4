"""A job of a stack: its Trainer, which is in the middle of a fit, and what it is told of the training."""

import logging
import time
from collections.abc import Sequence

import lightning as L
import torch
from lightning.pytorch.trainer.call import _call_callback_hooks as call_hooks
from torch import Tensor, nn

from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.data.loading.loader import Loader
from trainyard.models.classifier import Classifier
from trainyard.models.mlp import MLP
from trainyard.models.transfer import TransferModel
from trainyard.sweeps.stacked.late_checkpoints import LateLastCheckpoint
from trainyard.sweeps.stacked.progress_counters import set_counters
from trainyard.sweeps.stacked.turns import Turn
from trainyard.terminal.logs import heard

SAVE_EVERY = 1.0  # seconds between two writings of the curves, each of which waits for the disk


class Member:
    """What a stack knows of one of its jobs.

    Attributes:
        seed: of the order of its examples.
        optimizer, schedulers: its own.

    Args:
        trainer: that waits in its `StackedFitLoop`.
        turn: in which it waits.
    """

    def __init__(self, trainer: L.Trainer, turn: Turn, handlers: Sequence[logging.Handler]) -> None:
        self.trainer, self.turn, self.handlers = trainer, turn, handlers
        model = trainer.lightning_module
        assert isinstance(model, Classifier)
        self.model = model
        train_loader, val_loader = trainer.train_dataloader, trainer.val_dataloaders
        assert isinstance(train_loader, Loader)
        assert isinstance(val_loader, Loader)
        self.train_loader, self.val_loader = train_loader, val_loader
        self.seed = self.train_loader.sampler.seed
        [self.optimizer] = trainer.optimizers
        self.schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        self.saved = time.monotonic()
        self.random_state = torch.get_rng_state()
        self.set_epoch(1)

    @property
    def network(self) -> nn.Sequential:
        """The layers that learn."""
        if isinstance(self.model, TransferModel):
            return nn.Sequential(self.model.head)
        assert isinstance(self.model, MLP)
        return self.model.net

    def inputs(self, x: Tensor) -> Tensor:
        """Return what the network sees of raw examples, or of features: `[B, ...]` -> `[B, F]`."""
        seen = x if isinstance(self.model, TransferModel) else self.model.normalize(x).flatten(1)
        return self.trainer.precision_plugin.convert_input(seen)  # type: ignore[no-any-return]

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Have the Trainer know the epoch, counted from 1, and how many of its batches are done."""
        val_batches = len(self.val_loader) if epoch > 1 or batch == len(self.train_loader) else 0
        self.train_loader.next_batch = batch
        set_counters(self.trainer, epoch, len(self.train_loader), batch, val_batches)

    def begin_batch(self, epoch: int, batch: int, x: Tensor, y: Tensor) -> None:
        """Call what a run does before a batch: it logs the learning rate, and shows the first pictures."""
        with heard(self.handlers):
            self.set_epoch(epoch, batch)
            call_hooks(self.trainer, "on_train_batch_start", (x, y), batch)

    def before_step(self, epoch: int, batch: int, last: bool) -> None:
        """Call what a run does when the gradients are there: it logs their norm, and shows them after an epoch."""
        self.set_epoch(epoch, batch)
        self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = last
        with heard(self.handlers):
            call_hooks(self.trainer, "on_before_optimizer_step", self.optimizer)

    def end_epoch(self, epoch: int, scores: dict[str, float], last: bool) -> None:
        """Log the scores of an epoch, keep checkpoints, and say a line."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, LateLastCheckpoint):
                callback.due = last
        trainer = self.trainer
        with heard(self.handlers):
            torch.set_rng_state(self.random_state)
            self.set_epoch(epoch, len(self.train_loader))
            metrics = {name: torch.tensor(value) for name, value in scores.items()}
            rounded = {name: float(metric) for name, metric in metrics.items()}  # to float32, as Lightning logs it
            trainer.callback_metrics.update(metrics)
            step = trainer.global_step - 1
            save = last or time.monotonic() - self.saved > SAVE_EVERY
            for logger in trainer.loggers:
                logger.log_metrics({**rounded, "epoch": epoch - 1}, step)
                if save:
                    logger.save()
            self.saved = time.monotonic() if save else self.saved
            trainer.fit_loop.epoch_loop.validated_step = trainer.global_step
            call_hooks(trainer, "on_validation_end")
            call_hooks(trainer, "on_train_epoch_end", monitoring_callbacks=False)
            call_hooks(trainer, "on_train_epoch_end", monitoring_callbacks=True)

    def not_finite(self, epoch: int, batch: int, loss: float, inputs_are_finite: bool) -> None:
        """Raise what a run raises whose loss is no number; nothing where it does not look."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, FiniteLoss):
                self.set_epoch(epoch, batch)
                callback.stop(self.trainer, inputs_are_finite, loss, 0)
