"""Weights for a timm backbone from a file, and the head of a checkpoint that was trained on the same classes."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from trainyard.errors import listing, reject
from trainyard.models.safetensors_file import read_safetensors

log = logging.getLogger(__name__)

ACCEPTED = "none, pretrained, or the path of a checkpoint (.safetensors, .pt, .pth, .ckpt)"
# Where a file may keep its state dict; averaged weights first, as timm prefers them.
STATE_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model")


@dataclass(frozen=True)
class Weights:
    """The tensors of a file.

    Attributes:
        path: of the file.
        state: tensors of the backbone by timm's names; a file of timm's includes its classifier.
        image_size: in pixels, that they were trained at; `None` where the file does not say.
        head: weight and bias of the head; only a checkpoint of a run has one.
        classes: names of the classes of `head`, in the order of its outputs.
    """

    path: Path
    state: Mapping[str, Tensor]
    image_size: int | None = None
    head: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def read_weights(weights: str) -> Weights:
    """Read a safetensors file, a state dict, or a checkpoint that contains one, of a run or of another program.

    Never runs code that the file may contain.

    Raises:
        ConfigError: the file does not exist or is not a checkpoint.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        problem = "not a regular file" if path.exists() else "no such file"
        raise reject("model.weights", weights, problem, ACCEPTED)
    try:
        stored = read(path)
    except Exception as error:  # each damaged format fails in its own way
        raise reject("model.weights", weights, f"not a checkpoint ({type(error).__name__})", ACCEPTED) from error
    stored = stored if isinstance(stored, dict) else {}
    state = next((stored[key] for key in STATE_KEYS if key in stored), stored)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise reject("model.weights", weights, "it contains no state dict", ACCEPTED)
    state = {name.removeprefix("module.").removeprefix("_orig_mod."): tensor for name, tensor in state.items()}
    backbone, head = (without_prefix(state, prefix) for prefix in ("backbone.", "head."))
    if not backbone:
        return Weights(path, state)
    hyperparameters = dict_at(stored, "hyper_parameters")
    size, classes = hyperparameters.get("image_size"), dict_at(hyperparameters, "spec").get("classes")
    size = size if isinstance(size, int) else None
    return Weights(path, backbone, size, head, tuple(classes) if isinstance(classes, list) else ())


def dict_at(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the dict at a key; an empty one where a file of another program has something else there."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def read(path: Path) -> Any:
    """Read a safetensors file or a file of `torch.save`; a file that a run exported includes its hyperparameters."""
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    with safe_open(path, "pt") as file:
        exported = "trainyard" in (file.metadata() or {})
    return read_safetensors(path) if exported else load_file(path)


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_weights(net: Any, weights: Weights) -> None:
    """Fill a timm model without a classifier; tensors whose shapes differ are left as they are.

    The log counts the tensors that were loaded, those left out because of their shape, those that the file lacks and
    those that the model lacks. The classifier of the file does not count.

    Raises:
        ConfigError: nothing fits.
    """
    own = net.state_dict()
    state = without_classifier(net, weights.state)
    fitting = those_that_fit(own, state)
    if len(fitting) < len(own):
        state = without_classifier(net, converted(net, weights.state))
        fitting = those_that_fit(own, state)
    if not fitting:
        problem = f"none of its {len(state)} tensors fits the backbone's {len(own)}"
        raise reject("model.weights", weights.path, problem, "a checkpoint of the same model.backbone")
    net.load_state_dict(fitting, strict=False)
    left_out = sum(name in own for name in state) - len(fitting)
    missing = sum(name not in state for name in own)
    unexpected = sum(name not in own for name in state)
    log.log(
        logging.INFO if len(fitting) == len(own) else logging.WARNING,
        "weights    %d of %d tensors loaded from %s; %d left out for their shape, %d missing, %d unexpected",
        *(len(fitting), len(own), weights.path, left_out, missing, unexpected),
    )


def load_head(head: nn.Linear, weights: Weights, classes: tuple[str, ...]) -> None:
    """Fill the head from a checkpoint whose classes have the same names in the same order; else leave it as it is.

    An equal number of classes is not enough: output 0 of a head for the digits 0 to 4 means "0", not "5".
    """
    if not weights.head:
        return
    if weights.classes == classes and those_that_fit(head.state_dict(), weights.head):
        head.load_state_dict(weights.head)
        log.info("head       from %s, which has the same classes", weights.path)
    else:
        trained_on = f"the classes {listing(weights.classes)}" if weights.classes else "other classes"
        log.info("head       new: %s was trained on %s", weights.path, trained_on)


def those_that_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name and shape a model has."""
    return {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}


def without_classifier(net: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file of timm's without those of its classifier or classifiers."""
    names = net.default_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}


def converted(net: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors as timm converts those of other versions of a model, or positions for another image size."""
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    try:
        return convert(state, net) if convert else state
    except (KeyError, RuntimeError, ValueError, AttributeError, AssertionError):  # not a file that timm knows either
        return state
