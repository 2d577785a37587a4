"""Loads a model from a file alone: a checkpoint of a run, or an exported safetensors file."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L

from trainyard.config.composition import walk
from trainyard.config.trusted import MODEL, check_node, check_target
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.weight_files import check_archive, read_file

ACCEPTED = "a checkpoint that train.py wrote"


def load_model(
    checkpoint: Path, trusted: Sequence[str] = (), kind: type[L.LightningModule] = L.LightningModule
) -> L.LightningModule:
    """Rebuild the model of a checkpoint, with its weights, on the CPU and in evaluation mode.

    It needs neither config nor data, downloads nothing and runs no code from the file.

    Args:
        checkpoint: the file.
        trusted: packages whose models may be built, in addition to Trainyard's.
        kind: required base class of the model.

    Raises:
        ConfigError: the file is not a checkpoint of a run, or names another class.
    """
    stored = read_checkpoint(checkpoint)
    base = replace(MODEL, bases=(f"{kind.__module__}.{kind.__qualname__}",))
    target = check_target(f"{checkpoint}: model_class", stored.get("model_class"), base, trusted)
    try:
        arguments = constructor_arguments(target, stored["hyper_parameters"])
        check_task(arguments.get("task"), trusted)
        model: L.LightningModule = target(**arguments)
        model.load_state_dict(stored["state_dict"])
    except ConfigError:
        raise
    except Exception as error:  # damaged files cause many types of errors
        problem = f"no model can be built from it ({type(error).__name__}: {first_line(error)})"
        raise config_error("checkpoint", checkpoint, problem, ACCEPTED) from error
    return model.eval()


def check_task(stored: object, trusted: Sequence[str]) -> None:
    """Raise a ConfigError if the arguments of a task would build anything but tasks, losses and metrics."""
    for path, node in walk({"task": stored}):
        if isinstance(node, dict):
            check_node(path, node, trusted)


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Return the content of a checkpoint with what rebuilds the model; see `read_plain`."""
    stored = read_plain(path)
    if not isinstance(stored, dict) or not {"model_class", "hyper_parameters", "state_dict"} <= stored.keys():
        raise config_error("checkpoint", path, "its model class is missing", ACCEPTED)
    return stored


def read_weights(path: Path) -> Mapping[str, Any]:
    """Return the weights in a checkpoint by name; see `read_plain`."""
    stored = read_plain(path)
    if not isinstance(stored, dict) or not isinstance(stored.get("state_dict"), dict):
        raise config_error("checkpoint", path, "its weights are missing", ACCEPTED)
    weights: Mapping[str, Any] = stored["state_dict"]
    return weights


def read_plain(path: Path) -> Any:
    """Return the content of a file of weights: plain values and tensors on the CPU, never other objects."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged files cause warnings in addition to the error
            check_archive(path.resolve())
            return read_file(path)
    except Exception as error:  # damaged files cause many types of errors
        unsafe = "weights_only" in str(error).lower() or "Unsupported" in str(error)
        problem = "it contains more than weights, possibly code" if unsafe else f"unreadable ({first_line(error)})"
        raise config_error("checkpoint", path, problem, ACCEPTED) from error


def constructor_arguments(kind: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored arguments that the constructors accept; pretrained `weights` are not loaded again."""
    known = {name for parent in kind.__mro__ for name in inspect.signature(parent.__init__).parameters}  # type: ignore[misc]
    plain = {name: value for name, value in stored.items() if name in known}
    return plain | ({"weights": "none"} if "weights" in plain else {})


def first_line(error: Exception) -> str:
    """Return the first line of an error message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
