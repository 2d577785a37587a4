"""The residual network for small images."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.models.supervised import SupervisedModel


class ResNet(SupervisedModel):
    """A convolution, stages of residual blocks, the mean of each feature map, and a linear layer (He et al. 2015).

    arXiv:1512.03385; the blocks are torchvision's.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        channels: feature maps of each stage; every stage halves height and width.
        blocks: residual blocks in a stage, two convolutions each.
        dropout: probability of dropping each mean before the linear layer.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.
    """

    inputs = ("images",)

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: Sequence[int],
        blocks: int = 1,
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        from torchvision.models.resnet import BasicBlock, conv1x1, conv3x3

        super().__init__(spec, **training)
        maps = channels[0]
        self.net = nn.Sequential(conv3x3(self.spec.input_shape[0], maps), nn.BatchNorm2d(maps), nn.ReLU())
        for size in channels:
            halved = nn.Sequential(conv1x1(maps, size, stride=2), nn.BatchNorm2d(size))
            self.net.append(BasicBlock(maps, size, stride=2, downsample=halved))
            self.net.extend(BasicBlock(size, size) for _ in range(blocks - 1))
            maps = size
        self.net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)])
        self.net.append(nn.Linear(maps, self.output_size))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of raw images: `[B, C, H, W]` -> `[B, K]`."""
        return self.net(self.normalize(x))  # type: ignore[no-any-return]

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the first convolution and the residual blocks by name."""
        blocks = {name: module for name, module in self.net.named_children() if hasattr(module, "conv1")}
        return {"convolution": self.net[0], **{f"block{n}": block for n, block in enumerate(blocks.values(), start=1)}}
