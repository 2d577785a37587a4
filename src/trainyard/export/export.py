"""A trained model written for other programs, and tried there before it gets its name."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainyard.errors import ConfigError, reject
from trainyard.export.interface import BATCHES, examples_like
from trainyard.export.onnx_file import PACKAGES, run_onnx, write_onnx
from trainyard.export.safetensors_file import run_safetensors, write_safetensors
from trainyard.export.torch_file import run_torch, write_torch
from trainyard.files import replacing
from trainyard.models.classifier import Classifier

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Format:
    """A way to write a model.

    Attributes:
        suffix: of the file.
        write: writes a model to a path.
        run: what the file makes of inputs, somewhere else.
        where: the somewhere else.
    """

    suffix: str
    write: Callable[[Classifier, Path], None]
    run: Callable[[Path, Sequence[Tensor]], list[Tensor]]
    where: str


FORMATS = {
    "onnx": Format(".onnx", write_onnx, run_onnx, "onnxruntime"),
    "torch": Format(".pt2", write_torch, run_torch, "a process with torch alone"),
    "safetensors": Format(".safetensors", write_safetensors, run_safetensors, "a fresh process"),
}


def export(model: Classifier, name: str, path: Path) -> float:
    """Write a model, compare it with itself, and only then give it its name.

    Args:
        model: a trained one, on the CPU.
        name: one of `FORMATS`.
        path: of the file; one that is there is replaced.

    Returns:
        The largest difference of any probability, over batches of one and of several inputs.

    Raises:
        ConfigError: a package is missing, the model cannot be written so, or the file says something else than the
            model; nothing is then left.
    """
    form = FORMATS[name]
    check_packages(name)
    try:
        with replacing(path) as draft:
            difference = written(model, form, draft)
            if not difference <= TOLERANCE:
                problem = f"{form.where} gives other probabilities, by {difference:.2g}; the file is removed"
                raise reject("--format", name, problem, f"a difference of at most {TOLERANCE:g}")
    except OSError as error:
        raise reject(
            "--output", path, f"cannot be written ({error.strerror})", "a file in a folder of yours"
        ) from error
    return difference


def written(model: Classifier, form: Format, draft: Path) -> float:
    """Write a file, and return how far what it says is from what the model says."""
    inputs = [examples_like(model.spec, count) for count in BATCHES]
    with torch.no_grad():
        expected = [model.predict_step(x, 0) for x in inputs]
    try:
        form.write(model, draft)
        found = form.run(draft, inputs)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # each exporter fails in its own ways
        first = (str(error).strip().splitlines() or [""])[0]
        problem = f"{type(model).__name__} cannot be written so ({type(error).__name__}: {first[:200]})"
        raise reject("--format", name_of(form), problem, "another format") from error
    return max_difference(found, expected)


def max_difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference of any number; NaN where one is NaN, infinity where the shapes differ."""
    if [one.shape for one in found] != [other.shape for other in expected]:
        return math.inf
    return float(torch.stack([(one - other).abs().max() for one, other in zip(found, expected, strict=True)]).max())


def name_of(form: Format) -> str:
    """Return what a person calls a format."""
    return next(name for name, other in FORMATS.items() if other is form)


def check_packages(name: str) -> None:
    """Raise a ConfigError where a format needs what is not installed."""
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if name == "onnx" and missing:
        raise reject("--format", name, f"it needs {' and '.join(missing)}", "after `pip install 'trainyard[export]'`")
