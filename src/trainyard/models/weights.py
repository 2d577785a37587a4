"""Weights for a timm model from a file."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.errors import reject

log = logging.getLogger(__name__)

ACCEPTED = "none, pretrained, or the path of a checkpoint (.safetensors, .pt, .pth, .ckpt)"
# Where a file may keep its state dict; averaged weights first, as timm prefers them.
STATE_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model")


@dataclass(frozen=True)
class Weights:
    """What a file holds.

    Attributes:
        path: of the file.
        state: tensors by name, those of one of our own checkpoints as `backbone.*` and `head.*`.
        image_size: in pixels, that they were trained at, where the file says so.
    """

    path: Path
    state: Mapping[str, Tensor]
    image_size: int | None = None


def read_weights(weights: str) -> Weights:
    """Return what a safetensors file, a state dict or a checkpoint that holds one has, ours included.

    Never runs code that the file may hold.

    Raises:
        ConfigError: the file is missing or is no checkpoint.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise reject("model.weights", weights, "no such file", ACCEPTED)
    try:
        stored = read(path)
    except Exception as error:  # each damaged format fails in its own way
        raise reject("model.weights", weights, f"not a checkpoint ({type(error).__name__})", ACCEPTED) from error
    held = stored if isinstance(stored, dict) else {}
    state = next((held[key] for key in STATE_KEYS if key in held), held)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise reject("model.weights", weights, "it holds no state dict", ACCEPTED)
    plain = {name.removeprefix("module.").removeprefix("_orig_mod."): tensor for name, tensor in state.items()}
    size = held.get("hyper_parameters", {}).get("image_size")
    return Weights(path, plain, size if isinstance(size, int) else None)


def read(path: Path) -> Any:
    """Return what a safetensors file or torch's own format holds."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def load_weights(net: Any, weights: Weights) -> None:
    """Fill a timm model; tensors that do not fit, such as those of a head for other classes, stay as they are.

    The log counts what was loaded, what was left out because of its shape, what the file lacks and what it has too
    much.

    Raises:
        ConfigError: nothing fits.
    """
    own = net.state_dict()
    state: Mapping[str, Tensor] = as_timm_names(net, weights.state)
    fitting = those_that_fit(own, state)
    if not set(own) - classifier_names(net) <= set(fitting):
        state = converted(net, state)
        fitting = those_that_fit(own, state)
    if not fitting:
        problem = f"none of its {len(state)} tensors fits the backbone's {len(own)}"
        raise reject("model.weights", weights.path, problem, "a checkpoint of the same model.backbone")
    net.load_state_dict(fitting, strict=False)
    left_out = sum(name in own for name in state) - len(fitting)
    missing = sum(name not in state for name in own)
    unexpected = sum(name not in own for name in state)
    complete = set(own) - classifier_names(net) <= set(fitting)
    log.log(
        logging.INFO if complete else logging.WARNING,
        "weights    %d of %d tensors loaded from %s; %d left out for their shape, %d missing, %d unexpected",
        *(len(fitting), len(own), weights.path, left_out, missing, unexpected),
    )


def those_that_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name and shape a model has."""
    return {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}


def as_timm_names(net: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one of our checkpoints under the names that timm has for them; others as they are."""
    if not any(name.startswith("backbone.") for name in state):
        return dict(state)
    head = next((name for name, module in net.named_modules() if module is net.get_classifier()), "head")
    renamed = {name.removeprefix("backbone."): tensor for name, tensor in state.items() if name.startswith("backbone.")}
    return renamed | {f"{head}.{kind}": state[f"head.{kind}"] for kind in ("weight", "bias") if f"head.{kind}" in state}


def classifier_names(net: Any) -> set[str]:
    """Return the names of the classifier's tensors."""
    heads = net.get_classifier()
    modules = set(heads) if isinstance(heads, tuple) else {heads}
    found = [(name, module) for name, module in net.named_modules() if module in modules]
    return {f"{name}.{tensor}" for name, module in found for tensor in module.state_dict()}


def converted(net: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors as timm converts those of other versions of a model, or positions for another image size."""
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    try:
        return convert(state, net) if convert else state
    except (KeyError, RuntimeError, ValueError, AttributeError, AssertionError):  # not a file that timm knows either
        return state
