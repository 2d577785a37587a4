"""TensorBoard during training: graph, first batch, gradients, weights, throughput and memory."""

import logging
import time
import warnings
from functools import partial
from typing import Any
from unittest.mock import patch

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from trainyard.callbacks.protocols import count_examples, tensors
from trainyard.callbacks.tensorboard import (
    current_step,
    find_drawing_budget,
    is_logged_step,
    tensorboard_writer,
    write_scalars,
)
from trainyard.io.files import MIB
from trainyard.io.resources import peak_memory

log = logging.getLogger(__name__)

HISTOGRAM_SHARE = 0.3  # of the drawing budget; the rest is for the figures at the end
SECONDS_PER_TENSOR, SECONDS_PER_NUMBER = 2e-3, 4e-8  # estimated time of a histogram


class FirstBatch(L.Callback):
    """Shows at most `most` training images of the first batch after augmentation, as `train/first_batch`."""

    def __init__(self, most: int = 64) -> None:
        self.most = most

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx > 0 or trainer.global_step > 0:
            return
        images, writer = next(tensors(batch), None), tensorboard_writer(trainer)
        if writer is None or images is None:
            return
        if images.ndim == 4 and images.dtype == torch.uint8:
            from torchvision.utils import make_grid

            first = images[: self.most].float() / 255
            writer.add_image("train/first_batch", make_grid(first.clamp(0, 1), padding=1, pad_value=0.5), 0)


class ModelGraph(L.Callback):
    """Shows the network under Graphs, traced with one example without changing modes, gradients or random state."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        writer, example = tensorboard_writer(trainer), pl_module.example_input_array
        if writer is None or not isinstance(example, torch.Tensor):
            return
        try:
            graph = self.trace(pl_module, example.to(pl_module.device))
        except Exception as error:  # a tracer cannot follow every network
            log.info("no graph for TensorBoard: the network cannot be traced (%s)", type(error).__name__)
        else:
            writer.file_writer.add_graph(graph)

    def trace(self, model: L.LightningModule, example: Tensor) -> Any:
        """Return the graph in TensorBoard's format."""
        from torch.utils.tensorboard.writer import graph  # type: ignore[attr-defined]

        modes = {module: module.training for module in model.modules()}
        model.eval()
        trace_once = patch.object(torch.jit, "trace", partial(torch.jit.trace, check_trace=False))
        try:
            with torch.random.fork_rng(), torch.no_grad(), warnings.catch_warnings(), trace_once:
                warnings.simplefilter("ignore")  # about shapes that are Python numbers
                return graph(Uncompiled(model), example)
        finally:
            for module, mode in modes.items():
                module.training = mode


class Uncompiled(nn.Module):
    """Calls a model without `torch.compile`: a compiled model cannot be traced."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        """Call the model's own `forward`."""
        return self.model.forward(x)


class LearningRate(LearningRateMonitor):
    """Logs the learning rate of each parameter group every `log_every_n_steps`."""

    def on_train_batch_start(self, trainer: L.Trainer, *arguments: Any, **more: Any) -> None:
        if is_logged_step(trainer):  # Lightning's own check takes as long as a layer of a small network
            super().on_train_batch_start(trainer, *arguments, **more)


class GradientNorm(L.Callback):
    """Logs `gradient/norm` before clipping, without the loss scale of 16-bit precision, every `log_every_n_steps`."""

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        if not is_logged_step(trainer):
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm: Any = get_total_norm(gradients)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = scaler.get_scale() if scaler else 1.0
        for logger in trainer.loggers:
            logger.log_metrics({"gradient/norm": float(norm) / scale}, current_step(trainer))


class Histograms(L.Callback):
    """Shows trainable weights and their gradients at the last step of an epoch, within the drawing budget."""

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Write the histograms, before the gradients are cleared."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        writer, budget = tensorboard_writer(trainer), find_drawing_budget(trainer)
        trainable = [(name, p) for name, p in pl_module.named_parameters() if p.requires_grad]
        seconds = sum(2 * (SECONDS_PER_TENSOR + SECONDS_PER_NUMBER * p.numel()) for _, p in trainable)
        if writer is None or not budget.allows(seconds, HISTOGRAM_SHARE):
            return
        with budget.measure():
            for name, parameter in trainable:
                writer.add_histogram(f"weights/{name}", parameter, current_step(trainer))
                if parameter.grad is not None:
                    writer.add_histogram(f"gradients/{name}", parameter.grad, current_step(trainer))


class Throughput(L.Callback):
    """Shows training examples per second of each epoch, and the peak memory of the process and its GPU.

    They are written to TensorBoard only, because `metrics.csv` should be identical when a run is repeated.
    """

    def __init__(self) -> None:
        self.started: float | None = None
        self.examples = 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.examples += count_examples(batch)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer)

    def write(self, trainer: L.Trainer) -> None:
        """Write the throughput of all processes since `started`, at the last step."""
        writer, started, self.started = tensorboard_writer(trainer), self.started, None
        examples, self.examples = self.examples * trainer.world_size, 0
        if writer is None or started is None or not examples:
            return
        device, step = trainer.strategy.root_device, current_step(trainer)
        if device.type != "cpu":
            torch.accelerator.synchronize()
        values = {"speed/examples_per_second": examples / (time.perf_counter() - started)}
        if process := peak_memory():
            values["memory/process_mib"] = process / MIB
        if device.type == "cuda":
            values["memory/gpu_mib"] = torch.cuda.max_memory_allocated() / MIB
        write_scalars(writer, values, step)
