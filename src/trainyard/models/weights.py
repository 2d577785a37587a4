"""Weights for a timm backbone from a file."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.errors import reject

log = logging.getLogger(__name__)

ACCEPTED = "none, pretrained, or the path of a checkpoint (.safetensors, .pt, .pth, .ckpt)"


def load_weights(net: nn.Module, weights: str) -> None:
    """Fill a timm model from a file: a state dict, or a checkpoint that holds one, ours included.

    Tensors whose name or shape does not fit, such as a head for other classes, stay as they are; the log counts them.

    Raises:
        ConfigError: the file is missing, is not a checkpoint, or fits nowhere.
    """
    state = read_checkpoint(weights)
    own = net.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        problem = f"none of its {len(state)} tensors fits the backbone's {len(own)}"
        raise reject("model.weights", weights, problem, "a checkpoint of the same model.backbone")
    net.load_state_dict(fitting, strict=False)
    left_out = len(state) - len(fitting)
    log.info("weights: %d of %d tensors loaded, %d in the file left out", len(fitting), len(own), left_out)


def read_checkpoint(weights: str) -> Mapping[str, Tensor]:
    """Return the tensors of a file, never running code that it may hold."""
    path = Path(weights).expanduser()
    if not path.is_file():
        raise reject("model.weights", weights, "no such file", ACCEPTED)
    try:
        stored = read(path)
    except Exception as error:  # each damaged format fails in its own way
        raise reject("model.weights", weights, f"not a checkpoint ({type(error).__name__})", ACCEPTED) from error
    state = stored.get("state_dict", stored.get("model", stored)) if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise reject("model.weights", weights, "it holds no state dict", ACCEPTED)
    return {name.removeprefix("net."): tensor for name, tensor in state.items()}


def read(path: Path) -> Any:
    """Return what a safetensors file or torch's own format holds."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
