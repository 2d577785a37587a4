"""How fast a run is, and how much memory it takes."""

import time

import lightning as L
import torch

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.files import MIB
from trainyard.memory import peak
from trainyard.models.classifier import Classifier


class Speed(L.Callback):
    """Shows examples a second of each epoch's training, and the memory of the process and of its GPU at their peak.

    They are in TensorBoard alone: `metrics.csv` holds what comes out the same when a run is repeated.
    """

    def __init__(self) -> None:
        self.began: float | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock: the time of validation is not that of training."""
        self.write(trainer, pl_module, trainer.fit_loop.epoch_loop._batches_that_stepped)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock: an epoch may have several validations."""
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock, where examples came after the last validation."""
        self.write(trainer, pl_module, trainer.fit_loop.epoch_loop._batches_that_stepped - 1)

    def write(self, trainer: L.Trainer, model: L.LightningModule, step: int) -> None:
        """Write what the model has summed since the clock was started, over all processes."""
        writer, began, self.began = tensorboard_writer(trainer), self.began, None
        if writer is None or began is None or not isinstance(model, Classifier) or "train" not in model.sums:
            return
        device = trainer.strategy.root_device
        if device.type != "cpu":
            torch.accelerator.synchronize()
        seconds = time.perf_counter() - began
        writer.add_scalar(
            "speed/examples_per_second", model.sums["train"].examples * trainer.world_size / seconds, step
        )
        if process := peak():
            writer.add_scalar("memory/process_mib", process / MIB, step)
        if device.type == "cuda":
            writer.add_scalar("memory/gpu_mib", torch.cuda.max_memory_allocated() / MIB, step)
