"""The layers of a model: what comes out of each, what it holds, and what it costs."""

from dataclasses import dataclass

import torch
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from omegaconf import DictConfig
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainyard.models.classifier import Classifier
from trainyard.untrained import data_of, model_of

DEPTH = 2  # levels of layers in layers that fit on a screen


@dataclass(frozen=True)
class Layer:
    """One layer, with all that it holds.

    Attributes:
        name: dotted, as in the checkpoint.
        kind: name of its class.
        shape: of what comes out for one example; empty where the forward pass goes past it to what it holds.
        parameters: number of all in it.
        learns: whether they do from the first step on: `learns`, `frozen`, `partly`, or nothing where it has none.
        flops: of one example's way forward.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    learns: str
    flops: int


def show(cfg: DictConfig, depth: int | None = None) -> None:
    """Print a row a layer, and what they come to.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    model = model_of(cfg, data)
    layers, flops = layers_of(model, depth or DEPTH)
    print(text(model, layers, flops))


def layers_of(model: Classifier, depth: int) -> tuple[list[Layer], int]:
    """Return the layers down to a depth, and the FLOPs of all; a multiplication and its addition count as two.

    What costs little beside it is not counted: activations, norms, pooling.
    """
    model.example_input_array = torch.zeros(1, *model.spec.input_shape)
    with sdpa_kernel(SDPBackend.MATH):  # the others' attention is not counted on every device
        summary = ModelSummary(model, max_depth=depth)
    costs = {name: sum(counts.values()) for name, counts in summary.flop_counts.items()}
    found = []
    for name, kind, sizes in zip(summary.layer_names, summary.layer_types, summary.out_sizes, strict=True):
        module = model.get_submodule(name)
        shape = tuple(sizes[1:]) if isinstance(sizes, list) and all(isinstance(n, int) for n in sizes) else ()
        parameters = sum(p.numel() for p in module.parameters())
        if shape or parameters:  # what was taken out of a backbone stays in it as an empty layer
            flops = costs[name] or sum(costs[below] for below in costs if below.rpartition(".")[0] == name)
            found.append(Layer(name, kind, shape, parameters, state(module), flops))
    return found, summary.total_flops


def state(module: nn.Module) -> str:
    """Return whether the parameters of a module learn at once."""
    learning = {parameter.requires_grad for parameter in module.parameters()}
    return "partly" if len(learning) > 1 else "".join("learns" if learns else "frozen" for learns in learning)


def text(model: Classifier, layers: list[Layer], flops: int) -> str:
    """Return a row a layer, layers in a layer indented, and the totals."""
    names = ["  " * layer.name.count(".") + layer.name.rpartition(".")[2] for layer in layers]
    width, kinds = max(map(len, names)), max(len(layer.kind) for layer in layers)
    lines = [f"{'layer':<{width}}  {'kind':<{kinds}}  {'output':<12} {'parameters':>12}  {'':<6} {'FLOPs':>15}"]
    for name, layer in zip(names, layers, strict=True):
        shape = "x".join(map(str, layer.shape))
        size = f"{layer.parameters:>12,}" if layer.parameters else f"{'':>12}"
        cost = f"{layer.flops:>15,}" if layer.flops else ""
        lines.append(f"{name:<{width}}  {layer.kind:<{kinds}}  {shape:<12} {size}  {layer.learns:<6} {cost}".rstrip())
    total = sum(p.numel() for p in model.parameters())
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    mebibytes = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20
    lines.append(f"{total:,} parameters ({mebibytes:.1f} MiB), {learning:,} of them learn from the start")
    lines.append(f"{flops:,} FLOPs for one example, forward: products of matrices and convolutions, 2 a multiply-add")
    return "\n".join(lines)
