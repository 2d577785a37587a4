"""Transfer learning: a timm backbone that stays as it is, and a new head that learns."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from trainyard.data.spec import DataSpec
from trainyard.errors import did_you_mean, reject
from trainyard.models.classifier import Classifier
from trainyard.models.normalize import Normalize
from trainyard.models.weights import load_weights
from trainyard.network import check_reachable


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
        self.normalize = Normalize(config["mean"], config["std"])
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
    config = timm.get_pretrained_cfg(name)
    if pretrained:
        check_weights_can_be_had(name, config)
    size = {"img_size": image_size} if config.fixed_input_size and image_size else {}
    net = timm.create_model(name, num_classes=classes, pretrained=pretrained, **size)
    if not list(net.get_classifier().parameters()):
        raise reject("model.backbone", name, "it has no linear head that could be replaced", "another backbone")
    return net


def check_weights_can_be_had(name: str, config: Any) -> None:
    """Raise a ConfigError when a model has no weights, or they are neither cached nor within reach of the network."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE

    accepted = "model.weights=PATH of a checkpoint, or model.weights=none for a random backbone"
    if not config.hf_hub_id:
        raise reject("model.weights", "pretrained", f"timm has no weights for {name}", accepted)
    cached = Path(HF_HUB_CACHE) / f"models--{config.hf_hub_id.replace('/', '--')}"
    try:
        if not cached.is_dir():
            check_reachable(ENDPOINT)
    except OSError as error:
        problem = f"the weights of {name} are not in {HF_HUB_CACHE}, and the network does not reach {ENDPOINT}"
        raise reject("model.weights", "pretrained", problem, accepted) from error
