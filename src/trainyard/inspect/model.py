"""`show model`: output shape, parameters and FLOPs of each layer."""

from dataclasses import dataclass

import lightning as L
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary
from omegaconf import DictConfig
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from trainyard.inference.module_formats import ExportedModule
from trainyard.inspect.untrained import untrained_data, untrained_model
from trainyard.terminal.tables import table


@dataclass(frozen=True)
class Layer:
    """A layer with all layers inside it."""

    name: str
    kind: str  # name of its class
    shape: tuple[int, ...]  # of the output for one example; empty if the forward pass calls only layers inside it
    parameters: int
    trainable: str  # `yes`, `no` or `partly` at the first step; empty without parameters
    flops: int  # of a forward pass of one example


def show(cfg: DictConfig, depth: int | None = None) -> None:
    """Print a table of the layers down to a depth (default: 2), and the totals."""
    model = untrained_model(cfg, untrained_data(cfg))
    layers, flops = summarize_layers(model, depth or 2)
    rows = []
    for layer in layers:
        name = "  " * layer.name.count(".") + layer.name.rpartition(".")[2]
        numbers = [f"{number:,}" if number else "" for number in (layer.parameters, layer.flops)]
        rows.append((name, layer.kind, "x".join(map(str, layer.shape)), numbers[0], layer.trainable, numbers[1]))
    columns = ("layer", "kind", "output", "parameters", "trainable", "FLOPs")
    print(table(columns, rows, right=("parameters", "FLOPs")))
    parameters = list(model.parameters())
    total, mebibytes = sum(p.numel() for p in parameters), sum(p.nbytes for p in parameters) / 2**20
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    print(f"{total:,} parameters ({mebibytes:.1f} MiB), {trainable:,} of them trainable from the start")
    if model.example_input_array is None:
        print("output shapes and FLOPs are not known: the model has no example_input_array")
        return
    print(f"{flops:,} FLOPs of matrix products and convolutions in a forward pass of one example; a multiply-add is 2")


def summarize_layers(model: L.LightningModule, depth: int) -> tuple[list[Layer], int]:
    """Return the layers down to a depth, and the total FLOPs; activations, norms and pooling are not counted.

    Without an `example_input_array`, shapes are empty and FLOPs 0.
    """
    exported = ExportedModule(model)
    if exported.batch_size:
        args, kwargs = exported.inputs(1)
        model.example_input_array = kwargs or args
    with sdpa_kernel(SDPBackend.MATH):  # FLOPs of the other attention kernels are not counted on every device
        summary = ModelSummary(model, max_depth=depth)
    costs = {name: sum(counts.values()) for name, counts in summary.flop_counts.items()}
    layers = []
    for name, kind, sizes in zip(summary.layer_names, summary.layer_types, summary.out_sizes, strict=True):
        module = model.get_submodule(name)
        shape = tuple(sizes[1:]) if isinstance(sizes, list) and all(isinstance(n, int) for n in sizes) else ()
        parameters = sum(p.numel() for p in module.parameters())
        if shape or parameters:  # otherwise it replaces a layer that was removed from a backbone
            flops = costs[name] or sum(costs[below] for below in costs if below.rpartition(".")[0] == name)
            layers.append(Layer(name, kind, shape, parameters, trainable_state(module), flops))
    return layers, summary.total_flops


def trainable_state(module: nn.Module) -> str:
    """Return whether all, none or some parameters of a module are trainable."""
    states = {"yes" if parameter.requires_grad else "no" for parameter in module.parameters()}
    return "partly" if len(states) > 1 else "".join(states)
