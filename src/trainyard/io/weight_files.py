"""Files of weights: checkpoints of torch and Lightning, and safetensors files."""

import errno
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trainyard.io.files import open_regular


def read_file(path: Path) -> Any:
    """Read a file that `torch.save` or `write_safetensors` wrote."""
    return read_safetensors(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)


def check_archive(path: Path) -> None:
    """Raise an OSError unless the path is a regular file without compression, which could expand to any size."""
    with open_regular(path, max_bytes=None) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    raise OSError(errno.EINVAL, "a compressed archive", str(path))


def write_safetensors(model: L.LightningModule, path: Path, **metadata: str) -> None:
    """Write a trained model as safetensors; the header contains what `load_model` needs, and `metadata`."""
    kind = type(model)
    rebuilt = {"model_class": f"{kind.__module__}.{kind.__qualname__}", "hyper_parameters": dict(model.hparams)}
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, {"trainyard": json.dumps(rebuilt), **metadata})


def read_safetensors(path: Path) -> Mapping[str, Any]:
    """Return the content of a file that `write_safetensors` wrote, with the keys of a checkpoint."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["trainyard"])
        return {**header, "state_dict": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
