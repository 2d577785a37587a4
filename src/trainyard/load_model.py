"""Loading a model from its checkpoint alone: a Lightning checkpoint, or an exported safetensors file."""

import errno
import inspect
import json
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from trainyard.errors import ConfigError, reject
from trainyard.files import open_regular
from trainyard.trusted import MODEL, check_target

ACCEPTED = "a checkpoint that train.py wrote"


def load_model(
    checkpoint: Path, trusted: Sequence[str] = (), kind: type[L.LightningModule] = L.LightningModule
) -> L.LightningModule:
    """Rebuild the model of a checkpoint, with its weights, on the CPU and in evaluation mode.

    Neither config nor data is needed. Nothing is downloaded, no code in the file runs, and only models of the project
    or of trusted packages are built.

    Args:
        checkpoint: the file.
        trusted: packages of models beside the project's own.
        kind: class that the model must be an instance of.

    Raises:
        ConfigError: the file is not such a checkpoint, or contains another class.
    """
    stored = read_checkpoint(checkpoint)
    base = replace(MODEL, bases=(f"{kind.__module__}.{kind.__qualname__}",))
    target = check_target(f"{checkpoint}: model_class", stored.get("model_class"), base, trusted)
    try:
        model: L.LightningModule = target(**constructor_arguments(target, stored["hyper_parameters"]))
        model.load_state_dict(stored["state_dict"])
    except ConfigError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        problem = f"no model can be built of it ({type(error).__name__}: {first_line(error)})"
        raise reject("checkpoint", checkpoint, problem, ACCEPTED) from error
    return model.eval()


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Return the content of a checkpoint: plain values and tensors on the CPU, never other objects.

    Raises:
        ConfigError: it cannot be read, or contains something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged files cause warnings; the error below says what is wrong
            check_archive(path.resolve())
            stored = read_file(path)
    except Exception as error:  # each damaged file fails in its own way
        unsafe = "weights_only" in str(error).lower() or "Unsupported" in str(error)
        problem = "it contains more than weights, possibly code" if unsafe else f"unreadable ({first_line(error)})"
        raise reject("checkpoint", path, problem, ACCEPTED) from error
    if not isinstance(stored, dict) or not {"model_class", "hyper_parameters", "state_dict"} <= stored.keys():
        raise reject("checkpoint", path, "its model class is missing", ACCEPTED)
    return stored


def read_file(path: Path) -> Any:
    """Read a file of `torch.save`, or one that `write_safetensors` wrote."""
    return read_safetensors(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)


def check_archive(path: Path) -> None:
    """Raise an OSError unless the path is a regular file that is no larger in memory than on the disk."""
    with open_regular(path, most=None) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    raise OSError(errno.EINVAL, "a compressed archive", str(path))


def constructor_arguments(kind: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored arguments that the constructors accept; pretrained `weights` are not loaded again."""
    known = {name for parent in kind.__mro__ for name in inspect.signature(parent.__init__).parameters}  # type: ignore[misc]
    plain = {name: value for name, value in stored.items() if name in known}
    return plain | ({"weights": "none"} if "weights" in plain else {})


def first_line(error: Exception) -> str:
    """Return the first line of an error message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def write_safetensors(model: L.LightningModule, path: Path, **metadata: str) -> None:
    """Write a trained model as safetensors, with what `load_model` needs in the header, and further metadata."""
    kind = type(model)
    rebuilt = {"model_class": f"{kind.__module__}.{kind.__qualname__}", "hyper_parameters": dict(model.hparams)}
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, {"trainyard": json.dumps(rebuilt), **metadata})


def read_safetensors(path: Path) -> Mapping[str, Any]:
    """Return the content of a file that `write_safetensors` wrote, as of a checkpoint.

    Raises:
        SafetensorError, OSError, TypeError, KeyError, ValueError: it is not such a file.
    """
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["trainyard"])
        return {**header, "state_dict": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
