"""Pretrained timm models without their classifier, and weights for them from files."""

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
        image_size: height and width of its input in pixels; `None` for those its weights were trained with.
        pretrained: whether timm downloads its weights.
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
        problem = f"{name} does not take it ({reason})"
        raise config_error("model.image_size", image_size, problem, "null, or another size") from error
    return net.train()


def pretrained_config(name: str) -> Any:
    """Return timm's description of a model and its weights.

    Raises:
        ConfigError: unknown model, or weights.
    """
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
    """The tensors of a file.

    Attributes:
        path: of the file.
        state: tensors of the backbone, named as in timm; a file of timm includes its classifier.
        image_size: in pixels, that they were trained with; `None` if unknown.
        head: weight and bias of the head; only in checkpoints of runs.
        classes: names of the classes of `head`, in the order of its outputs.
    """

    path: Path
    state: Mapping[str, Tensor]
    image_size: int | None = None
    head: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def read_weights(weights: str) -> Weights:
    """Read a file of weights, or a checkpoint that contains them, of a run or of another program, without running code.

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
        own = any(name.startswith("backbone.") for name in state)
        stored = read_file(path) if own else {}
    except Exception as error:  # each damaged format fails in its own way
        raise config_error("model.weights", weights, f"not a checkpoint ({type(error).__name__})", ACCEPTED) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise config_error("model.weights", weights, "it contains no state dict", ACCEPTED)
    if not own:
        return Weights(path, state)
    backbone, head = (without_prefix(state, prefix) for prefix in ("backbone.", "head."))
    hyperparameters = dict_at(stored, "hyper_parameters")
    size, classes = hyperparameters.get("image_size"), dict_at(hyperparameters, "spec").get("classes")
    size = size if isinstance(size, int) else None
    return Weights(path, backbone, size, head, tuple(classes) if isinstance(classes, list) else ())


def dict_at(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the dict at a key, or an empty one: a file of another program may have something else there."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_weights(net: Any, weights: Weights) -> None:
    """Load weights into a timm model without a classifier; tensors of other shapes are skipped.

    Raises:
        ConfigError: no tensor fits.
    """
    classifier = net.default_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ([classifier] if isinstance(classifier, str) else classifier))
    state = {name: tensor for name, tensor in converted(net, weights.state).items() if not name.startswith(prefixes)}
    own = net.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        problem = f"none of its {len(state)} tensors fits the backbone's {len(own)}"
        raise config_error("model.weights", weights.path, problem, "a checkpoint of the same model.backbone")
    net.load_state_dict(fitting, strict=False)
    log.log(
        logging.INFO if len(fitting) == len(own) else logging.WARNING,
        "weights    %d of %d tensors loaded from %s; %d left out for their shape, %d missing, %d unexpected",
        *(len(fitting), len(own), weights.path, sum(name in own for name in state) - len(fitting)),
        *(len(own.keys() - state.keys()), len(state.keys() - own.keys())),
    )


def converted(net: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Convert tensors of other versions of a model, or positions for another image size, as timm does."""
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    try:
        return convert(dict(state), net) if convert else state
    except (KeyError, RuntimeError, ValueError, AttributeError, AssertionError):  # timm does not know the file
        return state


def load_head(head: nn.Linear, weights: Weights, classes: tuple[str, ...]) -> None:
    """Load the head of a checkpoint whose classes have the same names in the same order; else leave it unchanged.

    An equal number of classes is not enough: output 0 of a head for the digits 0 to 4 means "0", not "5".
    """
    if not weights.head:
        return
    shapes = {name: tensor.shape for name, tensor in head.state_dict().items()}
    if weights.classes == classes and shapes == {name: tensor.shape for name, tensor in weights.head.items()}:
        head.load_state_dict(weights.head)
        log.info("head       from %s, which has the same classes", weights.path)
    else:
        trained_on = f"the classes {join_limited(weights.classes)}" if weights.classes else "other classes"
        log.info("head       new: %s was trained on %s", weights.path, trained_on)


def layer_numbers(backbone: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter by name, counted from 0 at the input, as timm divides the model.

    A model without layer groups is divided into layers of twelve parameters, as in timm's layer decay.
    """
    from timm.models import group_parameters
    from timm.optim import auto_group_layers

    if hasattr(backbone, "group_matcher"):
        return group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)  # type: ignore[no-any-return, operator]
    return auto_group_layers(backbone)  # type: ignore[no-any-return]


def set_frozen_eval(module: nn.Module, batch_norm: bool = False) -> None:
    """Set modules whose parameters are all frozen to evaluation mode, with all that they contain.

    Args:
        module: a network in training mode.
        batch_norm: whether BatchNorm layers are set to evaluation mode even if their parameters are trained.
    """
    parameters = list(module.parameters())
    frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
    if frozen or (batch_norm and isinstance(module, BATCH_NORMS)):
        module.eval()
        return
    for child in module.children():
        set_frozen_eval(child, batch_norm)
