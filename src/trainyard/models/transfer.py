"""Transfer learning: a timm backbone that was trained on something else, and a new head."""

import logging
from typing import Any

import torch.nn.functional as F
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.models.backbone import create_backbone, layer_numbers, set_frozen_eval
from trainyard.models.classifier import Classifier
from trainyard.models.normalize import Normalize
from trainyard.models.weights import load_head, load_weights, read_weights
from trainyard.optim.finetune import Finetune

log = logging.getLogger(__name__)

SMOOTH = ("bilinear", "bicubic")  # ways to resize a batch; a backbone that wants another gets the first


class TransferModel(Classifier):
    """A backbone by its timm name, and a linear head; a plan says which layers learn when.

    A new head starts at zero. The head of a checkpoint is kept where its classes have the same names.

    Images are resized to what the weights were trained at, and normalised as they expect (timm's data config), not by
    the data's statistics; grey images become three equal channels. What is frozen stays as it is to the last bit,
    norms too.

    Args:
        spec: of the data; a `DataSpec` or what its `to_dict` gave.
        backbone: one of `timm.list_models()`, with or without the tag of its weights.
        weights: `none` (random), `pretrained` (downloaded by timm), or the path of a checkpoint. A model that is
            rebuilt from a checkpoint of ours never downloads again.
        image_size: height and width in pixels that the backbone sees; `None` for what its weights were trained at.
        drop_path: largest probability that training skips a block.
        finetune: the plan; `None` freezes the backbone.
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
        drop_path: float = 0.0,
        finetune: Finetune | None = None,
        **training: Any,
    ) -> None:
        from timm.data import resolve_model_data_config

        super().__init__(spec, **training)
        stored = None if weights in ("none", "pretrained") else read_weights(weights)
        image_size = image_size or (stored.image_size if stored else None)
        self.keep_hyperparameters(backbone=backbone, weights="none", image_size=image_size, drop_path=drop_path)
        self.backbone = net = create_backbone(backbone, image_size, weights == "pretrained", drop_path)
        self.head = nn.Linear(net.head_hidden_size, len(self.spec.classes))
        nn.init.zeros_(self.head.weight)  # the first loss is ln(classes), however large the features are
        nn.init.zeros_(self.head.bias)
        if stored:
            load_weights(net, stored)
            load_head(self.head, stored, self.spec.classes)
        config = resolve_model_data_config(net)
        channels, height, width = config["input_size"]
        self.input_size = (channels, image_size or height, image_size or width)
        self.mode = config["interpolation"] if config["interpolation"] in SMOOTH else SMOOTH[0]
        self.normalize = Normalize(config["mean"], config["std"])
        self.finetune = finetune or Finetune()
        self.layer_of = layer_numbers(net)
        layers = max(self.layer_of.values()) + 1
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(self.finetune.learns_at_once(self.layer_of[name], layers))
        self.train()

    def train(self, mode: bool = True) -> "TransferModel":
        """Switch what learns; frozen norms must not follow the batches, nor frozen layers drop anything."""
        super().train(mode)
        set_frozen_eval(self.backbone, self.finetune.freeze_batch_norm)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, K]` of raw images `[B, C, H, W]`, or of `features` `[B, F]` that are there already."""
        return self.head(self.features(x) if x.ndim == 4 else x)  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Return what the backbone makes of raw images: `[B, C, H, W]` -> `[B, F]`."""
        channels, *size = self.input_size
        images = x.float()
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode=self.mode, antialias=True, align_corners=False).clamp(0, 255)
        images = self.normalize(images.expand(-1, channels, -1, -1)).to(self.head.weight.dtype)
        return self.backbone.forward_head(self.backbone.forward_features(images), pre_logits=True)  # type: ignore[no-any-return]

    def blocks_of_maps(self) -> dict[str, nn.Module]:
        """Return the first convolution, and the stages that timm knows of the backbone, where those make maps."""
        first = next((module for module in self.backbone.modules() if isinstance(module, nn.Conv2d)), None)
        blocks: dict[str, nn.Module] = {"convolution": first} if first is not None else {}
        if getattr(self.backbone, "output_fmt", "NCHW") != "NCHW":
            return blocks
        stages = getattr(self.backbone, "feature_info", None) or []
        names = [str(stage["module"]) for stage in stages if stage.get("module")]
        return blocks | {name.replace(".", "_"): self.backbone.get_submodule(name) for name in names}

    def setup(self, stage: str) -> None:
        """Say what it costs that the backbone sees other images than the data has."""
        (channels, height, width), (_, *size) = self.spec.input_shape, self.input_size
        if stage == "fit" and self.trainer.is_global_zero and [height, width] != size:
            ratio = size[0] * size[1] / (height * width)
            shapes = f"{channels}x{height}x{width} become {'x'.join(map(str, self.input_size))}"
            log.info("images     %s for the backbone, %.3g times the pixels (model.image_size=...)", shapes, ratio)

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return head and layers in groups, those that are still frozen too, if they are to learn later."""
        spared: set[str] = getattr(self.backbone, "no_weight_decay", set)()
        return self.finetune.groups(self.head, self.backbone, self.layer_of, total_steps, epoch_steps, spared)

    def on_train_start(self) -> None:
        """Thaw what learns at this step, be it the first or one at which a run goes on."""
        self.next_thaw = 0.0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Thaw the layers whose step has come."""
        if self.trainer.global_step >= self.next_thaw:
            self.thaw(self.trainer.global_step)

    def thaw(self, step: int) -> None:
        """Let all layers learn that do at a step, and note when the next ones will."""
        groups = self.trainer.optimizers[0].param_groups
        changed = [
            p for group in groups if group["timing"]["joins"] <= step for p in group["params"] if not p.requires_grad
        ]
        later = [group["timing"]["joins"] for group in groups if group["timing"]["joins"] > step]
        self.next_thaw = min(later, default=float("inf"))
        if not changed:
            return
        for parameter in changed:
            parameter.requires_grad_(True)
        self.train()
        strategy = self.trainer.strategy
        if isinstance(strategy, DDPStrategy):  # it exchanges gradients of what learned when it was set up
            strategy.model = self
            strategy.configure_ddp()
