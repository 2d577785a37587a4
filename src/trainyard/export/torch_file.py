"""torch.export's own format, which needs torch alone, not this project."""

import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from trainyard.export.fresh_process import run_fresh
from trainyard.export.interface import Probabilities, description, examples_like
from trainyard.models.classifier import Classifier

# What a machine without the project lacks must not be needed; an import of it fails.
LOAD = """\
sys.modules.update(dict.fromkeys(["trainyard", "lightning", "timm", "torchvision"]))
model = torch.export.load(path).module()"""


def write_torch(model: Classifier, path: Path) -> None:
    """Write the graph and its weights; `trainyard.json` in it describes inputs and classes."""
    shapes = {"input": {0: torch.export.Dim("batch")}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own ways
        program = torch.export.export(
            without_empty_buffers(Probabilities(model)), (examples_like(model.spec, 2),), dynamic_shapes=shapes
        )
        torch.export.save(program, path, extra_files={"trainyard.json": description(model.spec)})


def without_empty_buffers(model: nn.Module) -> nn.Module:
    """Return a copy that lacks tensors without an element, which torch 2.13 cannot save; no forward reads them."""
    copy = deepcopy(model)
    for module in copy.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if not buffer.numel():
                setattr(module, name, None)
    return copy


def run_torch(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what a fresh process, which knows nothing of the project, makes of inputs."""
    return run_fresh(LOAD, path, inputs)
