"""The formats of an exported LightningModule: `forward` for inputs like `example_input_array`, or weights."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning_utilities.core.apply_func import apply_to_collection
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainyard.callbacks.protocols import named_tensors, tensors
from trainyard.inference.export_formats import Inputs, run_program, run_session, save_onnx, save_program
from trainyard.inference.export_interface import BATCHES

USE_ONNX = """\
import numpy, onnxruntime
session = onnxruntime.InferenceSession({file})
outputs = session.run(None, {{{arrays}}})"""
USE_TORCH = """\
import torch
program = torch.export.load({file})
args, kwargs = program.example_inputs
outputs = program.module()(*args, **kwargs)"""
USE_SAFETENSORS = """\
from lightning_utilities.core.apply_func import apply_to_collection
from safetensors.torch import load_file
weights = load_file({file})  # for model.load_state_dict"""


@dataclass(frozen=True)
class ExportedModule:
    """A module in evaluation mode, and an example of its inputs."""

    model: L.LightningModule

    @property
    def has_example(self) -> bool:
        """Whether the module has example inputs; without, only its weights can be exported."""
        return self.model.example_input_array is not None

    @cached_property
    def example(self) -> Inputs:
        """The example inputs, as Lightning passes them to `forward`: a dict by name, a tuple by position."""
        example: Any = self.model.example_input_array
        if isinstance(example, Mapping):
            return (), dict(example)
        return (tuple(example) if isinstance(example, list | tuple) else (example,)), {}

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The example inputs by the names of the parameters of `forward`."""
        args, kwargs = self.example
        return dict(inspect.signature(self.model.forward).bind(*args, **kwargs).arguments)

    @cached_property
    def batch_size(self) -> int | None:
        """The number of examples in the example inputs; `None` unless all tensors have as many."""
        sizes = {len(tensor) if tensor.ndim else 0 for tensor in tensors(self.example)} if self.has_example else set()
        return next(iter(sizes)) if len(sizes) == 1 and 0 not in sizes else None

    def inputs(self, count: int) -> Inputs:
        """Return the example inputs, repeated to `count` examples."""
        index = torch.arange(count)
        repeated: Inputs = apply_to_collection(self.example, Tensor, lambda tensor: tensor[index % len(tensor)])
        return repeated

    def batches(self, dynamic: bool) -> list[Inputs]:
        """Return inputs for comparisons: several batch sizes, or the example alone."""
        return [self.inputs(count) for count in BATCHES] if dynamic else [self.example]

    def outputs(self, inputs: Inputs) -> list[Tensor]:
        """Return the tensors that `forward` returns."""
        with torch.no_grad():
            return list(tensors(self.model(*inputs[0], **inputs[1])))

    def interface(self, path: Path, dynamic: bool) -> tuple[Inputs, Path, str, Any]:
        """Return example inputs, path, description and dynamic shapes, as `save_onnx` and `save_program` take them."""
        inputs = self.inputs(2) if dynamic else self.example
        description = json.dumps({"inputs": self.describe()})
        return inputs, path, description, self.dynamic_shapes(inputs) if dynamic else None

    def dynamic_shapes(self, inputs: Inputs) -> Any:
        """Return the description of inputs with batches of any size, for `torch.export`."""
        shapes, batch = torch.export.ShapesCollection(), torch.export.Dim("batch")
        for tensor in tensors(inputs):
            shapes[tensor] = {0: batch}
        return shapes.dynamic_shapes(self.model, *inputs)

    def describe(self) -> list[tuple[str, str, list[int]]]:
        """Return path, type and shape of each tensor in the example inputs."""
        named = named_tensors(self.arguments) if self.has_example else ()
        return [(path, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for path, tensor in named]


def write_onnx(exported: ExportedModule, path: Path, dynamic: bool) -> None:
    """Write ONNX, with a description of the inputs."""
    save_onnx(exported.model, *exported.interface(path, dynamic))


def run_onnx(exported: ExportedModule, path: Path, batches: list[Inputs]) -> list[list[Tensor]]:
    """Return the outputs in onnxruntime."""
    return run_session(path, map(tensors, batches))


def write_torch(exported: ExportedModule, path: Path, dynamic: bool) -> None:
    """Write the graph and its weights, with a description of the inputs."""
    save_program(exported.model, *exported.interface(path, dynamic))


def run_torch(exported: ExportedModule, path: Path, batches: list[Inputs]) -> list[list[Tensor]]:
    """Return the outputs in a fresh process that has torch alone."""
    return run_program(path, batches)


def write_safetensors(exported: ExportedModule, path: Path, dynamic: bool) -> None:
    """Write the weights; the header names the class."""
    kind = type(exported.model)
    state = {name: tensor.contiguous().clone() for name, tensor in exported.model.state_dict().items()}
    save_file(state, path, {"model_class": f"{kind.__module__}.{kind.__qualname__}"})


def run_safetensors(exported: ExportedModule, path: Path, batches: list[Inputs]) -> list[list[Tensor]]:
    """Return the outputs with the weights in the file; raise a RuntimeError if they are not those of the module."""
    weights, own = load_file(path), exported.model.state_dict()
    if weights.keys() != own.keys() or not all(torch.equal(own[name], weights[name]) for name in own):
        raise RuntimeError("the weights in the file differ")
    return [exported.outputs(inputs) for inputs in batches]


@dataclass(frozen=True)
class ModuleFormat:
    """A format of an exported module."""

    write: Callable[[ExportedModule, Path, bool], None]  # for batches of any size, if that is true
    run: Callable[[ExportedModule, Path, list[Inputs]], list[list[Tensor]]]  # returns the outputs of the file
    usage: str  # Python code with placeholders `{file}` and `{arrays}`


MODULE_FORMATS = {
    "onnx": ModuleFormat(write_onnx, run_onnx, USE_ONNX),
    "torch": ModuleFormat(write_torch, run_torch, USE_TORCH),
    "safetensors": ModuleFormat(write_safetensors, run_safetensors, USE_SAFETENSORS),
}
