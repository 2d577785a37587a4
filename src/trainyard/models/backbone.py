"""A timm model as it was trained: built, filled with its weights, and divided into its layers."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainyard.errors import did_you_mean, listing, reject
from trainyard.network import check_reachable


def create_backbone(name: str, image_size: int | None = None, pretrained: bool = False, drop_path: float = 0.0) -> Any:
    """Build a timm model without a classifier.

    Args:
        name: one of `timm.list_models()`, with or without the tag of its weights.
        image_size: height and width in pixels of what it will see; `None` for what its weights were trained at.
        pretrained: whether timm fills it with weights that it downloads.
        drop_path: probability that training skips a block, rising to this from the first to the last (Huang et al.
            2016, arXiv:1603.09382).

    Raises:
        ConfigError: timm has no such model, its weights cannot be had, or it takes no such size or `drop_path`.
    """
    import timm

    config = config_of(name)
    if pretrained:
        check_weights_can_be_had(name, config)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if config.fixed_input_size and image_size:
        options["img_size"] = image_size
    try:
        net = timm.create_model(name, num_classes=0, pretrained=pretrained, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        raise reject("model.drop_path", drop_path, f"{name} has no blocks that could be skipped", "0") from error
    except (AssertionError, ValueError) as error:
        raise unfit_size(name, image_size, error) from error
    if image_size:
        check_size(net, name, image_size)
    return net


def config_of(name: str) -> Any:
    """Return what timm knows of a model's weights; raise a ConfigError when there is no such model, or no weights."""
    import timm

    if not timm.is_model(name):
        known = timm.list_models()
        problem = f"timm {timm.__version__} has no such model{did_you_mean(name.partition('.')[0], known)}"
        raise reject("model.backbone", name, problem, f"one of its {len(known)}, such as resnet18 or convnext_atto")
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        plain, _, tag = name.partition(".")
        accepted = listing([plain, *timm.list_pretrained(f"{plain}.*")])
        raise reject("model.backbone", name, f"timm has no weights {tag} for {plain}", accepted) from error


def check_size(net: nn.Module, name: str, image_size: int) -> None:
    """Raise a ConfigError when a network cannot take images of a size; it gets one to see."""
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise unfit_size(name, image_size, error) from error
    finally:
        net.train()


def unfit_size(name: str, image_size: int | None, error: Exception) -> Exception:
    """Return the error that says that a network does not take images of a size."""
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return reject("model.image_size", image_size, f"{name} does not take it ({reason})", "null, or another size")


def check_weights_can_be_had(name: str, config: Any) -> None:
    """Raise a ConfigError when a model has no weights, or they are neither cached nor within reach of the network."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE

    accepted = "model.weights=PATH of a checkpoint, or model.weights=none for a random backbone"
    if not config.hf_hub_id:
        raise reject("model.weights", "pretrained", f"timm has no weights for {name}", accepted)
    cached = Path(HF_HUB_CACHE) / f"models--{config.hf_hub_id.replace('/', '--')}"
    try:
        if not any(cached.glob("snapshots/*/*")):  # a download that broke off leaves the folder
            check_reachable(ENDPOINT)
    except OSError as error:
        problem = f"the weights of {name} are not in {HF_HUB_CACHE}, and the network does not reach {ENDPOINT}"
        raise reject("model.weights", "pretrained", problem, accepted) from error


def layer_numbers(backbone: nn.Module) -> dict[str, int]:
    """Return the layer of each parameter by its name, counted from 0 at the input, as timm divides the model.

    A model without a division of its own is cut into layers of twelve parameters, as timm's layer decay does.
    """
    from timm.models import group_parameters
    from timm.optim import auto_group_layers

    if hasattr(backbone, "group_matcher"):
        return group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)  # type: ignore[no-any-return, operator]
    return auto_group_layers(backbone)  # type: ignore[no-any-return]


def set_frozen_eval(module: nn.Module, batch_norm: bool = False) -> None:
    """Put modules whose parameters are all frozen in evaluation mode, with all that they contain.

    Args:
        module: a network in training mode.
        batch_norm: whether BatchNorm layers are put in evaluation mode too, whether their parameters are frozen or not.
    """
    parameters = list(module.parameters())
    frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
    if frozen or (batch_norm and isinstance(module, _BatchNorm)):
        module.eval()
        return
    for child in module.children():
        set_frozen_eval(child, batch_norm)
