"""Weights as safetensors, which this project loads again and others can read."""

import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from trainyard.export.fresh_process import run_fresh
from trainyard.export.interface import description
from trainyard.models import load
from trainyard.models.classifier import Classifier

LOAD = """\
sys.path[:] = {folders!r}
from pathlib import Path
from trainyard.models.load import load_model
loaded = load_model(Path(path), {trusted!r})
model = lambda x: loaded.predict_step(x, 0)"""


def write_safetensors(model: Classifier, path: Path) -> None:
    """Write weights, what rebuilds the model, and a description of inputs and classes."""
    load.write_safetensors(model, path, description=description(model.spec))


def run_safetensors(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what a fresh process makes of a file that this one has just written, whose package it trusts."""
    package = str(load.read_safetensors(path)["model_class"]).partition(".")[0]
    folders = [str(Path(folder).absolute()) for folder in sys.path]  # where a package of one's own may lie
    return run_fresh(LOAD.format(folders=folders, trusted=[package]), path, inputs)
