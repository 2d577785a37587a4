"""The formats of an exported model, each with what writes it, what runs it elsewhere, and how to use it.

Every format takes raw inputs and returns the probability of each class.
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

import numpy as np
import torch
from torch import Tensor, nn

from trainyard.data.spec import DataSpec
from trainyard.models import safetensors_file
from trainyard.models.classifier import Classifier

INPUT, OUTPUT = "input", "probabilities"

FRESH_PROCESS = """\
import sys
import numpy as np
import torch
path, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
{load}
with torch.no_grad():
    for number in range(count):
        x = torch.from_numpy(np.load(f"{{folder}}/{{number}}.npy"))
        np.save(f"{{folder}}/out{{number}}.npy", model(x).numpy())
"""
# The file must not need packages that a machine without the project lacks; importing them fails here.
LOAD_TORCH = """\
sys.modules.update(dict.fromkeys(["trainyard", "lightning", "timm", "torchvision"]))
model = torch.export.load(path).module()"""
LOAD_SAFETENSORS = """\
sys.path[:] = {folders!r}
from pathlib import Path
from trainyard.models.load import load_model
loaded = load_model(Path(path), {trusted!r})
model = lambda x: loaded.predict_step(x, 0)"""

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
from trainyard.models.load import load_model
model = load_model(Path({file}))
x = model.example_input_array  # raw inputs
probabilities = model.predict_step(x, 0)"""


class Probabilities(nn.Module):
    """A classifier that returns probabilities; preprocessing of its inputs is inside.

    Args:
        model: a trained one.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input: Tensor) -> Tensor:
        """Return the probability of each class, `[B, K]`, of uint8 images `[B, C, H, W]` or float32 rows `[B, F]`."""
        return self.model(input).softmax(dim=1)  # type: ignore[no-any-return]


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
    """Return a description of inputs and classes as JSON, which becomes part of the exported file."""
    shape = ["batch", *spec.input_shape]
    columns = [{"name": column.name, "levels": list(column.levels)} for column in spec.columns]
    kind = "uint8" if spec.kind == "images" else "float32"
    values = {"value_range": list(spec.value_range)} if spec.value_range else {}
    return json.dumps(
        {"input": {"type": kind, "shape": shape, "columns": columns, **values}, "classes": list(spec.classes)}
    )


def run_in_fresh_process(load: str, path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs of a model in a new process.

    Args:
        load: Python code that assigns the model in the file `path` to `model`.
        path: of the file.
        inputs: batches.

    Raises:
        RuntimeError: the process failed; with the last line of its stderr.
    """
    with TemporaryDirectory() as folder:
        for number, x in enumerate(inputs):
            np.save(f"{folder}/{number}.npy", x.numpy())
        code = FRESH_PROCESS.format(load=load)
        words = [sys.executable, "-c", code, str(path.absolute()), folder, str(len(inputs))]
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a message"])[-1])
        return [torch.from_numpy(np.load(f"{folder}/out{number}.npy")) for number in range(len(inputs))]


def write_onnx(model: Classifier, path: Path) -> None:
    """Write ONNX for batches of any size; its metadata `trainyard` describes inputs and classes."""
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
            if not buffer.numel():  # torch 2.13 cannot save empty tensors, and no forward pass reads them
                setattr(module, name, None)
    shapes = {"input": {0: torch.export.Dim("batch")}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the internals of the exporter
        program = torch.export.export(exported, (random_inputs(model.spec, 2),), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={"trainyard.json": describe_interface(model.spec)})


def run_torch(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in a fresh process that cannot import this project."""
    return run_in_fresh_process(LOAD_TORCH, path, inputs)


def write_safetensors(model: Classifier, path: Path) -> None:
    """Write weights, the arguments that rebuild the model, and a description of inputs and classes."""
    safetensors_file.write_safetensors(model, path, description=describe_interface(model.spec))


def run_safetensors(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs in a fresh process, which trusts the package of the model's class."""
    package = str(safetensors_file.read_safetensors(path)["model_class"]).partition(".")[0]
    folders = [str(Path(folder).absolute()) for folder in sys.path]
    return run_in_fresh_process(LOAD_SAFETENSORS.format(folders=folders, trusted=[package]), path, inputs)


@dataclass(frozen=True)
class Format:
    """A format of an exported model.

    Attributes:
        suffix: of the file.
        write: writes a model to a path.
        run: returns the outputs of the file for batches, outside of this process or project.
        where: description of where `run` runs it.
        usage: Python code with a placeholder `{file}`.
    """

    suffix: str
    write: Callable[[Classifier, Path], None]
    run: Callable[[Path, Sequence[Tensor]], list[Tensor]]
    where: str
    usage: str


FORMATS = {
    "onnx": Format(".onnx", write_onnx, run_onnx, "onnxruntime", USE_ONNX),
    "torch": Format(".pt2", write_torch, run_torch, "a process with torch alone", USE_TORCH),
    "safetensors": Format(".safetensors", write_safetensors, run_safetensors, "a fresh process", USE_SAFETENSORS),
}
