"""The convolutional network for small photographs, sized for minutes of training."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import DataSpec
from trainyard.io.errors import config_error
from trainyard.models.supervised import SupervisedModel
from trainyard.optim.optimizers import weight_decay_groups

PIXELS = 2**21  # of the training images whose patches are whitened
OUTPUT_SCALE = 1 / 9  # the logits of the first step are close to 0
SMALLEST = 3  # pixels of a side, so that BatchNorm sees several positions even of a single image


class WhitenedCNN(SupervisedModel):
    """A fixed first layer that whitens 2x2 patches, blocks of two convolutions, and the maximum of each feature map.

    The network and its options are from Jordan 2024 (arXiv:2404.00498). It accepts images of any size from 3x3 pixels;
    blocks halve height and width as long as at least 2x2 pixels are left.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        channels: feature maps of each block.
        whiten: `False` for an ordinary first layer, which is trained.
        bias_lr_factor: learning rate of the biases of BatchNorm, whose scales are fixed, relative to other weights.
        evaluation_views: evaluation averages the outputs of 1 view of an image, 2 views with its mirror image, or 6, in
            which both are also moved by a pixel to the upper left and to the lower right, at half the weight.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.

    Raises:
        ConfigError: the images are too small.
    """

    inputs = ("images",)

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: Sequence[int],
        whiten: bool = True,
        bias_lr_factor: float = 1.0,
        evaluation_views: int = 1,
        **training: Any,
    ) -> None:
        super().__init__(spec, **training)
        maps, height, width = self.spec.input_shape
        if min(height, width) < SMALLEST:
            problem = f"images of {height}x{width} pixels are too small"
            accepted = f"another model, such as mlp, or images of at least {SMALLEST}x{SMALLEST} pixels"
            raise config_error("model", "whitened_cnn", problem, accepted)
        self.bias_lr_factor = bias_lr_factor
        self.evaluation_views = evaluation_views
        self.whiten = whiten
        self.whitening = Whitening(maps)
        self.whitening.weight.requires_grad_(not whiten)
        self.blocks = nn.Sequential()
        maps, side = self.whitening.out_channels, min(height, width) - 1
        for size in channels:
            halved = side >= 4
            self.blocks.append(block(maps, size, halved))
            maps, side = size, side // 2 if halved else side
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(maps, self.output_size))

    def setup(self, stage: str) -> None:
        """Compute the first layer from training images, before the first step; checkpoints contain it."""
        if stage == "fit" and self.whiten and not self.whitening.computed:
            images = training_images(self.trainer, PIXELS)
            self.whitening.compute(self.normalize(images.to(self.device)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of raw images: `[B, C, H, W]` -> `[B, K]`."""
        x = self.normalize(x)
        if self.training:
            return self.outputs(x)
        return sum(weight * self.outputs(view) for view, weight in views(x, self.evaluation_views))  # type: ignore[return-value]

    def outputs(self, x: Tensor) -> Tensor:
        """Return the logits of normalised images."""
        return self.head(self.blocks(self.whitening(x))) * OUTPUT_SCALE  # type: ignore[no-any-return]

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return weights, other biases, and the biases of BatchNorm with a learning rate of their own."""
        norms = {f"{name}.bias" for name, part in self.named_modules() if isinstance(part, nn.BatchNorm2d)}
        trained = {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
        biases = [parameter for name, parameter in trained.items() if name in norms]
        own = {"name": "norms", "params": biases, "weight_decay": 0.0, "lr_factor": self.bias_lr_factor}
        return [*weight_decay_groups((name, p) for name, p in trained.items() if name not in norms), own]

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the first layer and the blocks by name."""
        blocks = {f"block{number}": block for number, block in enumerate(self.blocks, start=1)}
        return {"whitening": self.whitening, **blocks}


class Whitening(nn.Conv2d):
    """A convolution whose fixed kernels are the whitened principal components of patches, and their negatives.

    Before GELU, the outputs have mean 0 and variance 1 over the images that they were computed from. The biases are
    trained.
    """

    def __init__(self, channels: int, kernel_size: int = 2) -> None:
        super().__init__(channels, 2 * channels * kernel_size**2, kernel_size)
        self.weight.requires_grad_(False)
        self.computed = nn.Buffer(torch.tensor(False))

    @torch.no_grad()
    def compute(self, images: Tensor, eps: float = 5e-4) -> None:
        """Set the kernels for normalised images `[N, C, H, W]`; `eps` is added to variances, against noise."""
        # [N * positions, C * k * k]
        patches = F.unfold(images, self.kernel_size).transpose(1, 2).flatten(0, 1).double()
        variances, components = torch.linalg.eigh(patches.T.cov(correction=0))
        kernels = (components / (variances.clamp(min=0) + eps).sqrt()).T.view(-1, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([kernels, -kernels]))
        self.bias.zero_()  # type: ignore[union-attr]
        self.computed.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature maps of normalised images."""
        return F.gelu(super().forward(x))


def block(inputs: int, outputs: int, halved: bool) -> nn.Sequential:
    """Return one block: `[B, inputs, H, W]` -> `[B, outputs, H // 2, W // 2]`, or `[B, outputs, H, W]`."""
    return nn.Sequential(
        convolution(inputs, outputs),
        nn.MaxPool2d(2) if halved else nn.Identity(),
        fixed_scale_norm(outputs),
        nn.GELU(),
        convolution(outputs, outputs),
        fixed_scale_norm(outputs),
        nn.GELU(),
    )


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that at first copies its inputs to its first outputs."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def fixed_scale_norm(channels: int) -> nn.BatchNorm2d:
    """Return a BatchNorm with trained biases, but fixed scales."""
    norm = nn.BatchNorm2d(channels)
    norm.weight.requires_grad_(False)
    return norm


def views(x: Tensor, count: int) -> list[tuple[Tensor, float]]:
    """Return 1, 2 or 6 views of images, `[B, C, H, W]` each, with weights whose sum is 1."""
    if count == 1:
        return [(x, 1.0)]
    weighted = [(x, 0.5)]
    if count == 6:
        padded = F.pad(x, (1, 1, 1, 1), "reflect")
        weighted = [(x, 0.25), (padded[..., :-2, :-2], 0.125), (padded[..., 2:, 2:], 0.125)]
    return weighted + [(view.flip(3), weight) for view, weight in weighted]


def training_images(trainer: L.Trainer, pixels: int) -> Tensor:
    """Return raw training images with at most `pixels` pixels, evenly spaced; of other DataModules, the first batch."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    if not isinstance(data, DataModule):
        with isolate_rng():
            images: Tensor = next(iter(data.train_dataloader()))[0]
        return images
    train = data.splits["train"]
    count = min(len(train), max(1, pixels // (train.shape[1] * train.shape[2])))
    return train.__getitems__([place * len(train) // count for place in range(count)])[0]
