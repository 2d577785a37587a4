"""A model as safetensors, with what rebuilds it in the header: nothing in such a file can be code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from trainyard.models.classifier import Classifier


def write_safetensors(model: Classifier, path: Path, **more: str) -> None:
    """Write what `trainyard.models.load.load_model` reads, so that the file is a RUN to other commands.

    Args:
        model: a trained one.
        path: of the file.
        more: texts that the header has too.
    """
    kind = type(model)
    rebuilt = {"model_class": f"{kind.__module__}.{kind.__qualname__}", "hyper_parameters": dict(model.hparams)}
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, {"trainyard": json.dumps(rebuilt), **more})


def read_safetensors(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint of the project holds, from such a file.

    Raises:
        SafetensorError, OSError, TypeError, KeyError, ValueError: it is none.
    """
    with safe_open(path, "pt") as file:
        held = json.loads(file.metadata()["trainyard"])
        return {**held, "state_dict": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
