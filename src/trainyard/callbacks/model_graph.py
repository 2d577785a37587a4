"""The graph of a model in TensorBoard."""

import logging
import warnings
from functools import partial
from typing import Any
from unittest.mock import patch

import lightning as L
import torch
from torch import Tensor, nn

from trainyard.callbacks.leave import leave
from trainyard.callbacks.tensorboard import tensorboard_writer

log = logging.getLogger(__name__)


class ModelGraph(L.Callback):
    """Shows the network under TensorBoard's Graphs tab, as a trace of one example.

    The trace leaves the run as it was: evaluation mode, no gradients, random state kept.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Trace and write the graph; a network that cannot be traced is named in the log."""
        leave(trainer, self)
        writer = tensorboard_writer(trainer)
        example = pl_module.example_input_array
        if writer is None or not isinstance(example, torch.Tensor):
            return
        try:
            graph = self.traced(pl_module, example.to(pl_module.device))
        except Exception as error:  # whatever a network does that a tracer cannot follow
            log.info("no graph for TensorBoard: the network cannot be traced (%s)", type(error).__name__)
        else:
            writer.file_writer.add_graph(graph)

    def traced(self, model: L.LightningModule, example: Tensor) -> Any:
        """Return the graph as TensorBoard takes it."""
        from torch.utils.tensorboard._pytorch_graph import graph

        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            unchecked = partial(torch.jit.trace, check_trace=False)  # `graph` has no way to ask for one trace, not two
            once = patch.object(torch.jit, "trace", unchecked)
            with torch.random.fork_rng(), torch.no_grad(), warnings.catch_warnings(), once:
                warnings.simplefilter("ignore")  # what a tracer thinks of shapes in Python is of no use here
                return graph(Uncompiled(model), example)
        finally:
            for module, mode in modes.items():
                module.training = mode


class Uncompiled(nn.Module):
    """A model as it is written; a tracer cannot look into what `torch.compile` made of it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        """Call the model's own `forward`."""
        return self.model.forward(x)
