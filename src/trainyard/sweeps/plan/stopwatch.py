"""How long each part of a trial takes."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.memory import bytes_on_disk, own_peak, pages
from trainyard.sweeps.plan.shortened import Shortened
from trainyard.sweeps.plan.trial import Epoch, Lap, Trial

WARM = 2  # steps before the clock runs: the first may compile for a minute
EPOCHS = 3  # that are tried at least, where they do not take too long
ENOUGH, TOO_LONG = 2.0, 4.0  # seconds of a trial; after those it ends with an epoch, after these at once


class Stopwatch(Shortened):
    """Times the parts of a trial, ends it when it has seen enough, and writes what it saw into the run's directory."""

    def __init__(self) -> None:
        super().__init__()
        self.trial = Trial()
        self.train, self.val = Lap(), Lap()
        self.began: float | None = None
        self.warm = 0.0
        self.steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the steps, and the validations in an epoch."""
        self.trial.batches["train"] = steps = self.batches("train", trainer.train_dataloader)
        self.trial.validations = self.validations(steps)
        self.trial.max_steps = trainer.max_steps * trainer.accumulate_grad_batches

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the epoch before, whose checkpoints are saved now, and begin this one."""
        self.end_epoch(trainer)
        self.train, self.val = Lap(), Lap()
        self.began = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """Begin a step."""
        self.train.begin()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """End a step, and the trial where it takes too long."""
        self.train.end()
        self.steps += 1
        if self.steps == WARM:
            wait_for_device(trainer)
            self.began = self.warm = time.perf_counter()
            self.train = Lap(began=self.warm)
        elif self.steps > WARM + 1:
            self.stop_after(TOO_LONG, trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the steps: a GPU may lag behind."""
        wait_for_device(trainer)
        self.train.stop()

    def on_validation_batch_start(self, *_: Any) -> None:
        """Begin a batch."""
        self.val.begin()

    def on_validation_batch_end(self, *_: Any) -> None:
        """End a batch."""
        self.val.end()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the batches; their scores have been asked for, so that a GPU has done all."""
        self.val.stop()
        self.trial.batches["val"] = self.batches("val", trainer.val_dataloaders)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the trial where it has seen enough."""
        if trainer.current_epoch + 1 >= EPOCHS:
            self.stop_after(ENOUGH, trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the last epoch; what was seen is written, since the test may run in another process."""
        self.end_epoch(trainer)
        self.write(trainer)

    def on_test_batch_start(self, *_: Any) -> None:
        """Begin a batch."""
        self.trial.test.begin()

    def on_test_batch_end(self, *_: Any) -> None:
        """End a batch."""
        self.trial.test.end()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add the test to what was seen."""
        self.trial.test.stop()
        self.trial.batches["test"] = self.batches("test", trainer.test_dataloaders)
        if trainer.is_global_zero:
            fit = Trial.read(Path(trainer.default_root_dir))
            self.trial = replace(fit, test=self.trial.test, batches={**fit.batches, **self.trial.batches})
            self.write(trainer)

    def write(self, trainer: L.Trainer) -> None:
        """Write what was seen so far, with the memory that it took."""
        self.trial.memory = max(self.trial.memory, own_peak() * trainer.world_size)
        self.trial.server = pages(os.getppid()).get("Rss", 0)
        if trainer.strategy.root_device.type == "cuda":
            self.trial.gpu = max(self.trial.gpu, torch.cuda.max_memory_reserved())
        if trainer.is_global_zero:
            self.trial.write(Path(trainer.default_root_dir))

    def end_epoch(self, trainer: L.Trainer) -> None:
        """Note what an epoch took, and, outside of its time, how large the directory is after it."""
        if self.began is None:
            return
        seconds = time.perf_counter() - self.began
        if writer := tensorboard_writer(trainer):
            writer.flush()
        size = bytes_on_disk(Path(trainer.default_root_dir), but="checkpoints")
        self.trial.epochs.append(Epoch(seconds, self.train, self.val, size))

    def stop_after(self, seconds: float, trainer: L.Trainer) -> None:
        """End the trial when so much time has passed; all processes of the run together."""
        late = time.perf_counter() - self.warm > seconds
        trainer.should_stop |= bool(trainer.strategy.reduce_boolean_decision(late, all=False))


def wait_for_device(trainer: L.Trainer) -> None:
    """Wait until a GPU has done what it was told, so that the clock sees it."""
    if trainer.strategy.root_device.type != "cpu":
        torch.accelerator.synchronize()
