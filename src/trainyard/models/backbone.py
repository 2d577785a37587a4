"""timm models without their classifier, with pretrained weights from timm or from files."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.io.downloads import check_reachable
from trainyard.io.errors import config_error, did_you_mean, join_limited
from trainyard.io.weight_files import read_file

log = logging.getLogger(__name__)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
ACCEPTED = "none, pretrained, or the path of a checkpoint (.safetensors, .pt, .pth, .ckpt)"


def create_backbone(name: str, image_size: int | None = None, pretrained: bool = False, drop_path: float = 0.0) -> Any:
    """Build a timm model without a classifier.

    Args:
        name: one of `timm.list_models()`, with or without the tag of its weights.
        image_size: height and width of the input in pixels; `None` for the size that the weights were trained with.
        pretrained: whether timm downloads the weights.
        drop_path: probability of skipping a block in training, rising to this from the first to the last (Huang et al.
            2016, arXiv:1603.09382).

    Raises:
        ConfigError: unknown model, unavailable weights, or unsupported `image_size` or `drop_path`.
    """
    import timm

    config = pretrained_config(name)
    if pretrained:
        check_weights_available(name, config)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if config.fixed_input_size and image_size:
        options["img_size"] = image_size
    try:
        net = timm.create_model(name, num_classes=0, pretrained=pretrained, **options)
        if image_size:
            with torch.inference_mode():
                net.eval()(torch.zeros(1, 3, image_size, image_size))
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise config_error("model.drop_path", drop_path, f"{name} has no blocks that could be skipped", "0") from error
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = f"{name} does not accept it ({reason})"
        raise config_error("model.image_size", image_size, problem, "null, or another size") from error
    return net.train()


def pretrained_config(name: str) -> Any:
    """Return timm's description of a model and its weights, or raise a ConfigError if timm does not have them."""
    import timm

    if not timm.is_model(name):
        known = timm.list_models()
        problem = f"timm {timm.__version__} has no such model{did_you_mean(name.partition('.')[0], known)}"
        raise config_error(
            "model.backbone", name, problem, f"one of its {len(known)}, such as resnet18 or convnext_atto"
        )
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        plain, _, tag = name.partition(".")
        accepted = join_limited([plain, *timm.list_pretrained(f"{plain}.*")])
        raise config_error("model.backbone", name, f"timm has no weights {tag} for {plain}", accepted) from error


def check_weights_available(name: str, config: Any) -> None:
    """Raise a ConfigError if a model has no weights, or they are neither cached nor can be downloaded."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE

    accepted = "model.weights=PATH of a checkpoint, or model.weights=none for a random backbone"
    if not config.hf_hub_id:
        raise config_error("model.weights", "pretrained", f"timm has no weights for {name}", accepted)
    cached = Path(HF_HUB_CACHE) / f"models--{config.hf_hub_id.replace('/', '--')}"
    try:
        if not any(cached.glob("snapshots/*/*")):  # an interrupted download leaves the folder
            check_reachable(ENDPOINT)
    except OSError as error:
        problem = f"the weights of {name} are not in {HF_HUB_CACHE}, and the network does not reach {ENDPOINT}"
        raise config_error("model.weights", "pretrained", problem, accepted) from error


@dataclass(frozen=True)
class Weights:
    """Weights from a file.

    Attributes:
        backbone: tensors named as in timm; a file of timm includes its classifier.
        image_size: image size in pixels that they were trained with; `None` if unknown.
        head: weight and bias of the head, and `classes`, their names; only in checkpoints of runs.
    """

    backbone: Mapping[str, Tensor]
    image_size: int | None = None
    head: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def read_weights(weights: str) -> Weights:
    """Read the weights in a checkpoint of a run or of another program, without running code.

    Raises:
        ConfigError: the file does not exist or is not a checkpoint.
    """
    from timm.models import load_state_dict

    path = Path(weights).expanduser()
    if not path.is_file():
        problem = "not a regular file" if path.exists() else "no such file"
        raise config_error("model.weights", weights, problem, ACCEPTED)
    try:
        state = load_state_dict(str(path), weights_only=True)
        from_run = any(name.startswith("backbone.") for name in state)
        hyperparameters = read_file(path).get("hyper_parameters") if from_run else None
    except Exception as error:  # damaged files cause many types of errors
        raise config_error("model.weights", weights, f"not a checkpoint ({type(error).__name__})", ACCEPTED) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise config_error("model.weights", weights, "it contains no state dict", ACCEPTED)
    if not from_run:
        return Weights(state)
    known = hyperparameters if isinstance(hyperparameters, dict) else {}
    spec, size = known.get("spec"), known.get("image_size")
    target = spec.get("target", spec) if isinstance(spec, dict) else None
    classes = target.get("names", target.get("classes")) if isinstance(target, dict) else None
    backbone, head = (without_prefix(state, prefix) for prefix in ("backbone.", "head."))
    names = tuple(classes) if isinstance(classes, list) else ()
    return Weights(backbone, size if isinstance(size, int) else None, head, names)


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_head(head: nn.Linear, weights: Weights, classes: tuple[str, ...], path: str) -> None:
    """Load the head of a checkpoint if its classes have the same names in the same order.

    An equal number of classes is not enough: output 0 of a head for the digits 0 to 4 means "0", not "5".
    """
    if not weights.head:
        return
    if weights.classes == classes and all(weights.head[n].shape == t.shape for n, t in head.state_dict().items()):
        head.load_state_dict(weights.head)
        log.info("head       from %s, which has the same classes", path)
    else:
        trained_on = f"the classes {join_limited(weights.classes)}" if weights.classes else "other classes"
        log.info("head       new: %s was trained on %s", path, trained_on)


def load_weights(net: Any, weights: Mapping[str, Tensor], path: str) -> None:
    """Load weights into a timm model without a classifier; a ConfigError is raised if no tensor has a fitting shape."""
    classifier = net.default_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([classifier] if isinstance(classifier, str) else classifier))
    state = {name: tensor for name, tensor in converted(net, weights).items() if not name.startswith(prefixes)}
    expected = net.state_dict()
    fitting = {n: tensor for n, tensor in state.items() if n in expected and expected[n].shape == tensor.shape}
    if not fitting:
        problem = f"none of its {len(state)} tensors fits the backbone's {len(expected)}"
        raise config_error("model.weights", path, problem, "a checkpoint of the same model.backbone")
    net.load_state_dict(fitting, strict=False)
    level = logging.INFO if len(fitting) == len(expected) else logging.WARNING
    missing, unexpected = len(expected.keys() - state.keys()), len(state.keys() - expected.keys())
    other_shape = len(expected) - len(fitting) - missing
    text = "weights    %d of %d tensors loaded from %s; %d have another shape, %d missing, %d unexpected"
    log.log(level, text, len(fitting), len(expected), path, other_shape, missing, unexpected)


def converted(net: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Convert tensors of other versions of a model, or positions for another image size, as timm does."""
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    try:
        return convert(dict(state), net) if convert else state
    except (KeyError, RuntimeError, ValueError, AttributeError, AssertionError):  # not a format that timm converts
        return state


def layer_numbers(backbone: nn.Module) -> dict[str, int]:
    """Return timm's layer of each parameter by name, counted from 0 at the input.

    A model without layer groups is divided into layers of twelve parameters, as in timm's layer decay.
    """
    from timm.models import group_parameters
    from timm.optim import auto_group_layers

    if hasattr(backbone, "group_matcher"):
        return group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)  # type: ignore[no-any-return, operator]
    return auto_group_layers(backbone)  # type: ignore[no-any-return]


def set_frozen_eval(module: nn.Module, batch_norm: bool = False) -> None:
    """Set modules whose parameters are all frozen to evaluation mode, and with `batch_norm` all BatchNorm layers."""
    parameters = list(module.parameters())
    frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
    if frozen or (batch_norm and isinstance(module, BATCH_NORMS)):
        module.eval()
        return
    for child in module.children():
        set_frozen_eval(child, batch_norm)
