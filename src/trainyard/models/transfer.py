"""Transfer learning: a pretrained timm backbone with a new head."""

import logging
from typing import Any

import torch.nn.functional as F
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.models.backbone import (
    create_backbone,
    layer_numbers,
    load_head,
    load_weights,
    read_weights,
    set_frozen_eval,
)
from trainyard.models.input_layers import Normalize
from trainyard.models.supervised import SupervisedModel
from trainyard.optim.finetune import Finetune

log = logging.getLogger(__name__)

INTERPOLATIONS = ("bilinear", "bicubic")  # modes that resize batches of tensors; others are replaced by the first


class TransferModel(SupervisedModel):
    """A timm backbone and a linear head; a fine-tuning plan decides which layers are trained when.

    A new head starts at zero; the head of a checkpoint is loaded if its classes have the same names. Images are resized
    to the size that the weights were trained with, and normalised by timm's data config, not by the statistics of the
    data; grey images are repeated to three channels. Frozen layers stay bitwise unchanged, including BatchNorm
    statistics.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        backbone: one of `timm.list_models()`, with or without the tag of its weights.
        weights: `none` (random), `pretrained` (downloaded by timm), or the path of a checkpoint. A model that is
            rebuilt from a checkpoint of a run never downloads again.
        image_size: height and width of the backbone's input in pixels; `None` for those its weights were trained with.
        drop_path: largest probability of skipping a block in training.
        finetune: the plan; `None` freezes the backbone.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.

    Raises:
        ConfigError: unknown backbone, or unavailable weights.
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
        self.hparams.update(weights="none", image_size=image_size)  # a rebuilt model loads its own weights
        self.backbone = net = create_backbone(backbone, image_size, weights == "pretrained", drop_path)
        self.head = nn.Linear(net.head_hidden_size, self.output_size)
        nn.init.zeros_(self.head.weight)  # the first loss is ln(classes), however large the features are
        nn.init.zeros_(self.head.bias)
        if stored:
            load_weights(net, stored.backbone, weights)
            load_head(self.head, stored, self.spec.classes, weights)
        config = resolve_model_data_config(net)
        channels, height, width = config["input_size"]
        self.input_size = (channels, image_size or height, image_size or width)
        self.mode = config["interpolation"] if config["interpolation"] in INTERPOLATIONS else INTERPOLATIONS[0]
        self.normalize = Normalize(config["mean"], config["std"])
        self.finetune = finetune or Finetune()
        self.layer_of = layer_numbers(net)
        layers = max(self.layer_of.values()) + 1
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(self.finetune.trained_from_start(self.layer_of[name], layers))
        self.train()

    def train(self, mode: bool = True) -> "TransferModel":
        """Set the training mode; frozen layers stay in evaluation mode, without dropout and BatchNorm updates."""
        super().train(mode)
        set_frozen_eval(self.backbone, self.finetune.freeze_batch_norm)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, K]` of raw images `[B, C, H, W]`, or of precomputed `features` `[B, F]`."""
        return self.head(self.features(x) if x.ndim == 4 else x)  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """Return the backbone's features of raw images: `[B, C, H, W]` -> `[B, F]`."""
        channels, *size = self.input_size
        images = x.float()
        if list(images.shape[2:]) != size:
            images = F.interpolate(images, size, mode=self.mode, antialias=True, align_corners=False).clamp(0, 255)
        images = self.normalize(images.expand(-1, channels, -1, -1)).to(self.head.weight.dtype)
        return self.backbone.forward_head(self.backbone.forward_features(images), pre_logits=True)  # type: ignore[no-any-return]

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the first convolution, and timm's stages of the backbone, if their outputs are feature maps."""
        first = next((module for module in self.backbone.modules() if isinstance(module, nn.Conv2d)), None)
        layers: dict[str, nn.Module] = {"convolution": first} if first is not None else {}
        if getattr(self.backbone, "output_fmt", "NCHW") != "NCHW":
            return layers
        stages = getattr(self.backbone, "feature_info", None) or []
        names = [str(stage["module"]) for stage in stages if stage.get("module")]
        return layers | {name.replace(".", "_"): self.backbone.get_submodule(name) for name in names}

    def setup(self, stage: str) -> None:
        """Log that images are resized for the backbone, which costs time."""
        (channels, height, width), (_, *size) = self.spec.input_shape, self.input_size
        if stage == "fit" and self.trainer.is_global_zero and [height, width] != size:
            ratio = size[0] * size[1] / (height * width)
            shapes = f"{channels}x{height}x{width} become {'x'.join(map(str, self.input_size))}"
            log.info("images     %s for the backbone, %.3g times the pixels (model.image_size=...)", shapes, ratio)

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return the groups of the head and of all layers that are trained, now or later."""
        no_decay: set[str] = getattr(self.backbone, "no_weight_decay", set)()
        return self.finetune.groups(self.head, self.backbone, self.layer_of, total_steps, epoch_steps, no_decay)

    def on_train_start(self) -> None:
        """Check at the first step which layers are trained: a resumed run may start beyond step 0."""
        self.next_unfreeze = 0.0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Unfreeze the layers that are due at this step."""
        if self.trainer.global_step >= self.next_unfreeze:
            self.unfreeze_layers(self.trainer.global_step)

    def unfreeze_layers(self, step: int) -> None:
        """Unfreeze all layers that are trained at a step, and find the step of the next change."""
        groups = self.trainer.optimizers[0].param_groups
        due = [parameter for group in groups if group["timing"]["start_step"] <= step for parameter in group["params"]]
        later = [group["timing"]["start_step"] for group in groups if group["timing"]["start_step"] > step]
        self.next_unfreeze = min(later, default=float("inf"))
        changed = [parameter for parameter in due if not parameter.requires_grad]
        if not changed:
            return
        for parameter in changed:
            parameter.requires_grad_(True)
        self.train()
        strategy = self.trainer.strategy
        if isinstance(strategy, DDPStrategy):  # it synchronises the gradients of parameters trained when it was set up
            strategy.model = self
            strategy.configure_ddp()
