"""Weights as safetensors, which this project loads again and others can read."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from trainyard.export.fresh_process import run_fresh
from trainyard.export.interface import description
from trainyard.models import safetensors_file
from trainyard.models.classifier import Classifier

LOAD = """\
from pathlib import Path
from trainyard.models.load import load_model
loaded = load_model(Path(path))
model = lambda x: loaded.predict_step(x, 0)"""


def write_safetensors(model: Classifier, path: Path) -> None:
    """Write weights, what rebuilds the model, and a description of inputs and classes."""
    safetensors_file.write_safetensors(model, path, description=description(model.spec))


def run_safetensors(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what a fresh process makes of inputs."""
    return run_fresh(LOAD, path, inputs)
