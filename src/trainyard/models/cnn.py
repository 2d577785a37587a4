"""The convolutional network."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.io.errors import config_error
from trainyard.models.mlp import activation_layer, fully_connected
from trainyard.models.supervised import SupervisedModel


class CNN(SupervisedModel):
    """Blocks of convolution, norm, activation, max-pooling and dropout, then fully connected layers.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        channels: feature maps of each block; every block halves height and width.
        kernel_size: height and width of the kernels in pixels; odd.
        dropout: probability of dropping each whole feature map (Tompson et al. 2015, arXiv:1411.4280), and each hidden
            neuron of the fully connected layers.
        hidden_dims: neurons in each fully connected layer between the feature maps and the classes.
        activation: relu, leaky_relu, elu, gelu, silu, tanh, sigmoid or identity.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.

    Raises:
        ConfigError: more blocks than the image can be halved, or a kernel wider than the image.
    """

    inputs = ("images",)

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: Sequence[int],
        kernel_size: int = 3,
        dropout: float = 0.0,
        hidden_dims: Sequence[int] = (),
        activation: str = "relu",
        **training: Any,
    ) -> None:
        super().__init__(spec, **training)
        maps, height, width = self.spec.input_shape
        most = min(height, width).bit_length() - 1
        if not most:
            problem = f"images of {height}x{width} pixels cannot be halved, as each block does"
            raise config_error("model", "cnn", problem, "another model, such as mlp, or images of at least 2x2 pixels")
        if len(channels) > most:
            count = f"1 to {most} numbers" if most > 1 else "1 number"
            accepted = f"{count} for images of {height}x{width} pixels"
            raise config_error("model.channels", list(channels), "each block halves the image", accepted)
        if kernel_size > max(height, width):
            accepted = f"an odd number below {max(height, width) + 1} for images of {height}x{width} pixels"
            raise config_error("model.kernel_size", kernel_size, "wider than the images", accepted)
        self.blocks = nn.Sequential()
        for size in channels:
            self.blocks.append(convolution_block(maps, size, kernel_size, activation, dropout))
            maps, height, width = size, height // 2, width // 2
        self.head = fully_connected(maps * height * width, hidden_dims, self.output_size, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of raw images: `[B, C, H, W]` -> `[B, K]`."""
        return self.head(self.blocks(self.normalize(x)))  # type: ignore[no-any-return]

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the blocks by name."""
        return {f"block{number}": block for number, block in enumerate(self.blocks, start=1)}


def convolution_block(inputs: int, outputs: int, kernel_size: int, activation: str, dropout: float) -> nn.Sequential:
    """Return one block: `[B, inputs, H, W]` -> `[B, outputs, H // 2, W // 2]`."""
    return nn.Sequential(
        # No bias: the norm that follows has one.
        nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        activation_layer(activation)(),
        nn.MaxPool2d(2),
        nn.Dropout2d(dropout),
    )
