"""The formats of an exported model: how to write, run and use each.

In every format, the model takes raw inputs and returns the probability of each class.
"""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.io import weight_files
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier

INPUT, OUTPUT = "input", "probabilities"

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
[probabilities] = session.run(["probabilities"], {{"input": x}})"""
USE_TORCH = """\
import torch
program = torch.export.load({file})
x = program.example_inputs[0][0]  # raw inputs
probabilities = program.module()(x)"""
USE_SAFETENSORS = """\
from pathlib import Path
from trainyard.run.load_model import load_model
model = load_model(Path({file}))
x = model.example_input_array  # raw inputs
probabilities = model.predict_step(x, 0)"""


class Probabilities(nn.Module):
    """A classifier that returns probabilities instead of logits."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input: Tensor) -> Tensor:
        """Return the probability of each class, `[B, K]`, of uint8 images `[B, C, H, W]` or float32 rows `[B, F]`."""
        return self.model.predict_step(input, 0)


def random_inputs(spec: DataSpec, count: int) -> Tensor:
    """Return random raw inputs: images with pixels from 0 to 255, or rows with missing and unknown values."""
    generator = torch.Generator().manual_seed(count)
    if spec.kind == "images":
        return torch.randint(0, 256, (count, *spec.input_shape), dtype=torch.uint8, generator=generator)
    columns = []
    for column, mean, std in zip(spec.columns, spec.mean, spec.std, strict=True):
        if column.levels:
            columns.append(torch.randint(0, len(column.levels) + 1, (count,), generator=generator).float())
        else:
            values = mean + std * torch.randn(count, generator=generator)
            missing = torch.rand(count, generator=generator) < 0.2
            columns.append(torch.where(missing, torch.nan, values))
    return torch.stack(columns, dim=1)


def describe_interface(spec: DataSpec) -> str:
    """Return a description of inputs and classes as JSON, to be stored in the exported file."""
    shape = ["batch", *spec.input_shape]
    columns = [{"name": column.name, "levels": list(column.levels)} for column in spec.columns]
    kind = "uint8" if spec.kind == "images" else "float32"
    values = {"value_range": list(spec.value_range)} if spec.value_range else {}
    return json.dumps(
        {"input": {"type": kind, "shape": shape, "columns": columns, **values}, "classes": list(spec.classes)}
    )


def write_onnx(model: Classifier, path: Path) -> None:
    """Write ONNX for batches of any size; its metadata key `trainyard` describes inputs and classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the internals of the exporter
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            Probabilities(model),
            (random_inputs(model.spec, 2),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"input": {0: torch.export.Dim("batch")}},
        )
    assert program is not None
    program.model.metadata_props["trainyard"] = describe_interface(model.spec)
    program.save(path, external_data=False)


def run_onnx(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0]) for x in inputs]


def write_torch(model: Classifier, path: Path) -> None:
    """Write the graph and its weights; `trainyard.json` in the file describes inputs and classes."""
    exported = deepcopy(Probabilities(model))
    for module in exported.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.numel():  # torch 2.13 cannot save empty tensors
                setattr(module, name, None)
    shapes = {"input": {0: torch.export.Dim("batch")}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the internals of the exporter
        program = torch.export.export(exported, (random_inputs(model.spec, 2),), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={"trainyard.json": describe_interface(model.spec)})


def run_torch(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in a fresh process that cannot import this project."""
    return [output for [output] in run_program(path, [((x,), {}) for x in inputs])]


def run_program(path: Path, calls: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[list[Tensor]]:
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


def write_safetensors(model: Classifier, path: Path) -> None:
    """Write weights, the arguments that rebuild the model, and a description of inputs and classes."""
    weight_files.write_safetensors(model, path, description=describe_interface(model.spec))


def run_safetensors(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of a model that is loaded from the file."""
    package = str(weight_files.read_safetensors(path)["model_class"]).partition(".")[0]
    model = load_classifier(path, [package])
    with torch.no_grad():
        return [model.predict_step(x, 0) for x in inputs]


@dataclass(frozen=True)
class Format:
    """A format of an exported model."""

    suffix: str
    write: Callable[[Classifier, Path], None]
    run: Callable[[Path, Sequence[Tensor]], list[Tensor]]  # returns the outputs of the file for batches
    runtime: str  # where `run` executes the model
    usage: str  # Python code with a placeholder `{file}`


FORMATS = {
    "onnx": Format(".onnx", write_onnx, run_onnx, "onnxruntime", USE_ONNX),
    "torch": Format(".pt2", write_torch, run_torch, "a process with torch alone", USE_TORCH),
    "safetensors": Format(".safetensors", write_safetensors, run_safetensors, "a reloaded model", USE_SAFETENSORS),
}
