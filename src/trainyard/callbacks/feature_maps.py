"""What a convolutional network has learned to see: its kernels, and what they make of one image."""

from collections.abc import Mapping
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn

from trainyard.callbacks.pictures import Picture
from trainyard.callbacks.predictions import SPLIT
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import Predictions

MOST = 64  # maps, or kernels, of a picture
SIDE = 64  # pixels that a map has at least in the picture
KERNEL_SIDE = 48


class FeatureMaps(Picture):
    """Shows the kernels of each block, and the feature maps that come out of it for the first validation image."""

    seconds: ClassVar[float] = 0.15

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Write an image for each block, numbered in the order of the network; nothing where there is none."""
        model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(model, Classifier)
        blocks = model.feature_map_layers()
        if not blocks:
            return
        image, _ = data.original(SPLIT).__getitems__([0])
        step = trainer.global_step
        writer.add_image("feature_maps/0_input", enlarged(image.float() / 255, SIDE)[0], step)
        for number, (name, maps) in enumerate(maps_of(model, blocks, image.to(model.device)).items(), start=1):
            writer.add_image(f"feature_maps/{number}_{name}", grid(maps.transpose(0, 1)[:MOST], SIDE), step)
        for number, (name, block) in enumerate(blocks.items(), start=1):
            kernel = next((m.weight for m in block.modules() if isinstance(m, nn.Conv2d)), None)
            if kernel is not None and kernel.shape[-1] > 1:
                writer.add_image(f"kernels/{number}_{name}", grid(as_images(kernel), KERNEL_SIDE), step)


@torch.no_grad()
def maps_of(model: nn.Module, blocks: Mapping[str, nn.Module], image: Tensor) -> dict[str, Tensor]:
    """Return what comes out of each block for an image `[1, C, H, W]`: `[1, maps, h, w]`."""
    found: dict[str, Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda _, __, out, name=name: found.__setitem__(name, out.float().cpu()))
        for name, block in blocks.items()
    ]
    try:
        model.forward(image)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: maps for name, maps in found.items() if maps.ndim == 4}  # tokens are no maps


def as_images(kernel: Tensor) -> Tensor:
    """Return kernels `[out, in, h, w]` as images: in colour where they see three channels, else one by one."""
    kernel = kernel.detach().float().cpu()
    return kernel[:MOST] if kernel.shape[1] == 3 else kernel.flatten(0, 1)[:MOST, None]


def grid(images: Tensor, side: int, columns: int = 8) -> Tensor:
    """Return images `[N, C, h, w]` in one, each from its least value, black, to its largest, white."""
    from torchvision.utils import make_grid

    image: Tensor = make_grid(
        enlarged(images, side), columns, padding=2, normalize=True, scale_each=True, pad_value=0.5
    )
    return image


def enlarged(images: Tensor, side: int) -> Tensor:
    """Return images whose pixels are repeated until they are at least so large."""
    times = max(1, side // max(images.shape[-2:]))
    return images.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)
