"""Transfer learning: a timm backbone that stays as it is, and a new head that learns."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from trainyard.data.spec import DataSpec
from trainyard.errors import ConfigError, did_you_mean, reject
from trainyard.models.classifier import Classifier
from trainyard.models.normalize import Normalize
from trainyard.models.weights import load_weights


class TransferModel(Classifier):
    """A frozen backbone by its timm name, and a trained linear head.

    Images are resized to what the backbone was trained at, and normalised as its weights expect (timm's data config),
    not by the data's statistics; grey images become three equal channels.

    Args:
        spec: of the data; a `DataSpec` or what its `to_dict` gave.
        backbone: one of `timm.list_models()`, with or without the tag of its weights.
        weights: `none` (random), `pretrained` (downloaded by timm), or the path of a checkpoint. A model that is
            rebuilt from a checkpoint of ours never downloads again.
        image_size: height and width in pixels that the backbone sees; `None` for what its weights were trained at.
        training: optimizer, scheduler and loss options of `Classifier`.

    Raises:
        ConfigError: a backbone that timm does not have, or weights that cannot be had.
    """

    inputs = ("images",)

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        backbone: str,
        weights: str = "none",
        image_size: int | None = None,
        **training: Any,
    ) -> None:
        super().__init__(spec, **training)
        self.keep_hyperparameters(backbone=backbone, weights="none", image_size=image_size)
        self.net = create_backbone(backbone, len(self.spec.classes), image_size, weights == "pretrained")
        if weights not in ("none", "pretrained"):
            load_weights(self.net, weights)
        config = self.net.pretrained_cfg
        self.image_size = (image_size, image_size) if image_size else config["input_size"][1:]
        self.channels = config["input_size"][0]
        self.normalize = Normalize(config["mean"], config["std"], "images")
        self.net.requires_grad_(False)
        self.net.get_classifier().requires_grad_(True)

    def train(self, mode: bool = True) -> "TransferModel":
        """Switch the head alone: frozen norms must not follow the batches, nor frozen layers drop anything."""
        super().train(mode)
        self.net.eval()
        self.net.get_classifier().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of raw images: `[B, C, H, W]` -> `[B, K]`."""
        images = x.float().expand(-1, self.channels, -1, -1)
        if tuple(images.shape[2:]) != tuple(self.image_size):
            images = F.interpolate(images, self.image_size, mode="bilinear", antialias=True, align_corners=False)
        return self.net(self.normalize(images))  # type: ignore[no-any-return]


def create_backbone(name: str, classes: int, image_size: int | None, pretrained: bool) -> Any:
    """Build a timm model with a head for the classes.

    Raises:
        ConfigError: timm has no such model, it has no head to replace, or its weights cannot be downloaded.
    """
    import timm

    if not timm.is_model(name):
        known = timm.list_models()
        problem = f"timm {timm.__version__} has no such model{did_you_mean(name.partition('.')[0], known)}"
        raise reject("model.backbone", name, problem, f"one of its {len(known)}, such as resnet18 or convnext_atto")
    fixed = timm.get_pretrained_cfg(name).fixed_input_size
    size = {"img_size": image_size} if fixed and image_size else {}
    try:
        net = timm.create_model(name, num_classes=classes, pretrained=pretrained, **size)
    except Exception as error:  # the hub's client has many kinds of "not reachable", and timm one for "has no weights"
        if not pretrained:
            raise
        raise not_downloaded(name, error) from error
    if not list(net.get_classifier().parameters()):
        raise reject("model.backbone", name, "it has no linear head that could be replaced", "another backbone")
    return net


def not_downloaded(name: str, error: Exception) -> ConfigError:
    """Return the error that says where timm's weights were looked for and what works without them."""
    from huggingface_hub.constants import HF_HUB_CACHE

    problem = f"the weights of {name} are not in {HF_HUB_CACHE} and cannot be downloaded ({type(error).__name__})"
    accepted = "model.weights=PATH of a checkpoint, or model.weights=none for a random backbone"
    return reject("model.weights", "pretrained", problem, accepted)
