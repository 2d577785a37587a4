"""The formats of an exported model: how to write, run and use each.

In every format, the model takes raw inputs and returns the probability of each class or label, or the numbers in the
units of the data.
"""

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.inference.capabilities import load_supervised_model
from trainyard.inference.export_interface import INPUT, describe_interface, output_name, random_inputs
from trainyard.io import weight_files
from trainyard.models.supervised import SupervisedModel
from trainyard.run.load_model import first_line

Inputs = tuple[tuple[Any, ...], dict[str, Any]]  # arguments of `forward`, by position and by name

# An exported program must need torch only, so importing other packages fails here.
FRESH_PROCESS = """\
import sys
sys.modules.update(dict.fromkeys(["trainyard", "lightning", "timm", "torchvision"]))
import torch
def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]
path, folder = sys.argv[1:]
model = torch.export.load(path).module()
with torch.no_grad():
    outputs = [tensors(model(*args, **kwargs)) for args, kwargs in torch.load(f"{folder}/inputs.pt")]
torch.save(outputs, f"{folder}/outputs.pt")
"""

USE_ONNX = """\
import numpy, onnxruntime
session = onnxruntime.InferenceSession({file})
shape = session.get_inputs()[0].shape[1:]
x = numpy.zeros((2, *shape), dtype=numpy.uint8 if len(shape) == 3 else numpy.float32)  # raw inputs
[{output}] = session.run(["{output}"], {{"input": x}})"""
USE_TORCH = """\
import torch
program = torch.export.load({file})
x = program.example_inputs[0][0]  # raw inputs
{output} = program.module()(x)"""
USE_SAFETENSORS = """\
from pathlib import Path
from trainyard.run.load_model import load_model
model = load_model(Path({file}))
x = model.example_input_array  # raw inputs
{output} = model.predict_step(x, 0)"""


class ExportedPredictions(nn.Module):
    """A model whose `forward` returns its predictions, instead of logits or standardised numbers."""

    def __init__(self, model: SupervisedModel) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input: Tensor) -> Tensor:
        """Return the predictions `[B, K]` for uint8 images `[B, C, H, W]` or float32 rows `[B, F]`."""
        return self.model.predict_step(input, 0)


def describe_failure(model: nn.Module, error: Exception) -> str:
    """Return a line about the error of an exporter."""
    return f"{type(model).__qualname__} cannot be exported ({type(error).__name__}: {first_line(error)[:200]})"


def save_onnx(module: nn.Module, inputs: Inputs, path: Path, description: str, shapes: Any, **names: Any) -> None:
    """Write a module as ONNX; its metadata key `trainyard` contains the description."""
    args, kwargs = inputs
    options = {"dynamo": True, "verbose": False, "dynamic_shapes": shapes, **names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the internals of the exporter
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(module, args, kwargs=kwargs, **options)
    assert program is not None
    program.model.metadata_props["trainyard"] = description
    program.save(path, external_data=False)


def run_session(path: Path, batches: Iterable[Iterable[Tensor]]) -> list[list[Tensor]]:
    """Return the outputs of an ONNX file in onnxruntime for batches of its inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    feeds = (dict(zip(names, (tensor.numpy() for tensor in batch), strict=True)) for batch in batches)
    return [[torch.from_numpy(array) for array in session.run(None, feed)] for feed in feeds]


def save_program(module: nn.Module, inputs: Inputs, path: Path, description: str, shapes: Any) -> None:
    """Write the graph of a module and its weights; `trainyard.json` in the file contains the description."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the internals of the exporter
        program = torch.export.export(module, *inputs, dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={"trainyard.json": description})


def run_program(path: Path, calls: Sequence[Inputs]) -> list[list[Tensor]]:
    """Return the tensors that an exported program returns for positional and named arguments, in a fresh process.

    Raises:
        RuntimeError: it fails; the process cannot import this project.
    """
    with TemporaryDirectory() as folder:
        torch.save(list(calls), f"{folder}/inputs.pt")
        command = [sys.executable, "-c", FRESH_PROCESS, str(path.absolute()), folder]
        process = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if process.returncode:
            raise RuntimeError((process.stderr.strip().splitlines() or ["it ended without a message"])[-1])
        outputs: list[list[Tensor]] = torch.load(f"{folder}/outputs.pt")
    return outputs


def interface(model: SupervisedModel, path: Path) -> tuple[Inputs, Path, str, Any]:
    """Return example inputs, path, description and dynamic shapes, as `save_onnx` and `save_program` take them."""
    inputs: Inputs = (random_inputs(model.spec, 2),), {}
    return inputs, path, describe_interface(model), {INPUT: {0: torch.export.Dim("batch")}}


def write_onnx(model: SupervisedModel, path: Path) -> None:
    """Write ONNX for batches of any size, with a description of inputs and outputs."""
    save_onnx(ExportedPredictions(model), *interface(model, path), output_names=[output_name(model.spec.target)])


def run_onnx(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in onnxruntime."""
    return [output for [output] in run_session(path, [[x] for x in inputs])]


def write_torch(model: SupervisedModel, path: Path) -> None:
    """Write the graph and its weights, with a description of inputs and outputs."""
    exported = deepcopy(ExportedPredictions(model))
    for module in exported.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.numel():  # torch 2.13 cannot save empty tensors
                setattr(module, name, None)
    save_program(exported, *interface(model, path))


def run_torch(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in a fresh process that cannot import this project."""
    return [output for [output] in run_program(path, [((x,), {}) for x in inputs])]


def write_safetensors(model: SupervisedModel, path: Path) -> None:
    """Write weights, the arguments that rebuild the model, and a description of inputs and outputs."""
    weight_files.write_safetensors(model, path, description=describe_interface(model))


def run_safetensors(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of a model that is loaded from the file."""
    package = str(weight_files.read_safetensors(path)["model_class"]).partition(".")[0]
    model = load_supervised_model(path, [package])
    with torch.no_grad():
        return [model.predict_step(x, 0) for x in inputs]


@dataclass(frozen=True)
class Format:
    """A format of an exported model."""

    suffix: str
    write: Callable[[SupervisedModel, Path], None]
    run: Callable[[Path, Sequence[Tensor]], list[Tensor]]  # returns the outputs of the file for batches
    runtime: str  # where `run` executes the model
    usage: str  # Python code with placeholders `{file}` and `{output}`


FORMATS = {
    "onnx": Format(".onnx", write_onnx, run_onnx, "onnxruntime", USE_ONNX),
    "torch": Format(".pt2", write_torch, run_torch, "a process with torch alone", USE_TORCH),
    "safetensors": Format(".safetensors", write_safetensors, run_safetensors, "a reloaded model", USE_SAFETENSORS),
}
