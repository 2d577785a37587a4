"""A model from its checkpoint alone."""

import errno
import inspect
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainyard.errors import ConfigError, reject
from trainyard.files import open_regular
from trainyard.models.classifier import Classifier
from trainyard.models.safetensors_file import read_safetensors
from trainyard.trusted import MODEL, check_target

ACCEPTED = "a checkpoint that train.py wrote"
CLASSIFIER = replace(MODEL, bases=("trainyard.models.classifier.Classifier",))


def load_model(checkpoint: Path, trusted: Sequence[str] = ()) -> Classifier:
    """Rebuild the model that a checkpoint holds, with its weights, on the CPU, ready to predict.

    No config or data is needed. No code that the file may hold is run, nothing is downloaded, and nothing is built but
    a model of the project or of a package that the person at the keyboard trusts.

    Args:
        checkpoint: the file.
        trusted: packages of models beside the project's own.

    Raises:
        ConfigError: it is no such checkpoint, or names another class.
    """
    stored = read_checkpoint(checkpoint)
    name = stored.get("model_class")
    kind: type[Classifier] = check_target(f"{checkpoint}: model_class", name, CLASSIFIER, trusted)
    try:
        model = kind(**arguments(kind, stored["hyper_parameters"]))
        model.load_state_dict(stored["state_dict"])
    except ConfigError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        problem = f"no model can be built of it ({type(error).__name__}: {first_line(error)})"
        raise reject("checkpoint", checkpoint, problem, ACCEPTED) from error
    return model.eval()


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint holds: plain values and tensors on the CPU, never objects of other kinds.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        safe = path.suffix == ".safetensors"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd files; what is wrong with one is said below
            check_archive(path.resolve())
            stored = read_safetensors(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each damaged file fails in its own way
        unsafe = "weights_only" in str(error).lower() or "Unsupported" in str(error)
        problem = "it holds more than weights, which might be code" if unsafe else f"unreadable ({first_line(error)})"
        raise reject("checkpoint", path, problem, ACCEPTED) from error
    if not isinstance(stored, dict) or not {"model_class", "hyper_parameters", "state_dict"} <= stored.keys():
        raise reject("checkpoint", path, "it does not say of which model it is", ACCEPTED)
    return stored


def check_archive(path: Path) -> None:
    """Raise an OSError unless a path is that of a regular file that is no larger in memory than on the disk."""
    with open_regular(path, most=None) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                    raise OSError(errno.EINVAL, "a compressed archive", str(path))


def arguments(kind: type[Classifier], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored arguments that models have; `weights` is not to be read or downloaded once more."""
    known = {name for parent in kind.__mro__ for name in inspect.signature(parent.__init__).parameters}  # type: ignore[misc]
    plain = {name: value for name, value in stored.items() if name in known}
    return plain | ({"weights": "none"} if "weights" in plain else {})


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
