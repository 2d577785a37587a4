"""The cost of a forward pass for one example: it decides the number of threads and the size of evaluation batches."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

log = logging.getLogger(__name__)

MAX_ELEMENTS = 2**27  # of the inputs and outputs of a layer in an evaluation batch: 512 MiB in float32
USUAL_MAPS = 64  # feature maps of the image's size, assumed for a network of unknown cost


@dataclass(frozen=True)
class ForwardCost:
    """The cost for one example; zeros if it is not known.

    Attributes:
        shape: of the example.
        flops: of matrix products and convolutions.
        elements: of the inputs and outputs of the layer that has most of them.
    """

    shape: tuple[int, ...] = ()
    flops: float = 0.0
    elements: int = 0


costs: "WeakKeyDictionary[nn.Module, ForwardCost]" = WeakKeyDictionary()


def forward_cost(model: Any) -> ForwardCost:
    """Return the cost of a LightningModule with an `example_input_array`, measured once; the model is not changed."""
    if model is None:
        return ForwardCost()
    if model not in costs:
        example = getattr(model, "example_input_array", None)
        inputs = example if isinstance(example, tuple) else (example,)
        try:
            costs[model] = measure(model, inputs) if isinstance(inputs[0], Tensor) else ForwardCost()
        except Exception as error:  # of the user's module, which does not need `forward`
            log.debug("the cost of a forward pass is not known: %s", error)
            costs[model] = ForwardCost()
    return costs[model]


def measure(model: Any, inputs: Sequence[Any]) -> ForwardCost:
    """Return the cost of `forward`, which is not compiled."""
    sizes = [0]

    def add(module: nn.Module, args: Sequence[Any], output: Any) -> None:
        sizes.append(sum(value.numel() for value in (*args, output) if isinstance(value, Tensor)))

    modes = [(module, module.training) for module in model.modules()]
    hooks = [module.register_forward_hook(add) for module, _ in modes]
    model.eval()
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),  # FLOPs of the other attention kernels are not counted
            FlopCounterMode(display=False) as counter,
        ):
            model.forward(*(value.to(model.device) if isinstance(value, Tensor) else value for value in inputs))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    count, views = (
        len(inputs[0]),
        getattr(model, "evaluation_views", 1),
    )  # of an image, in evaluation but not in training
    flops = counter.get_total_flops() / count / views
    return ForwardCost(tuple(inputs[0].shape[1:]), flops, max(sizes) // count)


def most_examples(model: Any, shape: Sequence[int]) -> int:
    """Return how many examples of a shape `(F,)` or `(C, H, W)` a model may evaluate at once, at least 1."""
    cost = forward_cost(model)
    known = cost.elements if cost.shape == tuple(shape) else 0  # other examples are features of a backbone
    return max(1, MAX_ELEMENTS // (known or USUAL_MAPS * math.prod(shape[1:])))
