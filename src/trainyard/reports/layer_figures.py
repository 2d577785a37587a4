"""Figures of a network's layers in TensorBoard: kernels, feature maps, and the inputs of the last layer."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.datamodule import DataModule
from trainyard.models.supervised import SupervisedModel
from trainyard.models.tabular import SeparateLinear
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.reports.split_predictions import SplitPredictions
from trainyard.reports.validation_figures import SPLIT, ValidationFigure

MAX_MAPS = 64  # maps, or kernels, in an image
MAP_SIDE, KERNEL_SIDE = 64, 48  # minimum size in the image, in pixels
MAX_POINTS = 400  # examples in the projector
DIMENSIONS = 32  # wider features are projected onto their principal components
SPRITE = 48  # pixels


class FeatureMaps(ValidationFigure):
    """Shows the kernels of each block, and its feature maps for the first validation image."""

    seconds: ClassVar[float] = 0.15

    def draw(self, writer: Any, predictions: SplitPredictions, trainer: L.Trainer) -> None:
        model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(model, SupervisedModel)
        blocks = model.feature_map_layers()
        if not blocks:
            return
        image, _ = data.original(SPLIT).__getitems__([0])
        step = trainer.global_step
        writer.add_image("feature_maps/0_input", enlarge(image.float() / 255, MAP_SIDE)[0], step)
        outputs = record_outputs(model, blocks, image.to(model.device))
        maps = {name: output for name, output in outputs.items() if output.ndim == 4}  # others are tokens
        for number, (name, output) in enumerate(maps.items(), start=1):
            picture = image_grid(output.transpose(0, 1)[:MAX_MAPS], MAP_SIDE)
            writer.add_image(f"feature_maps/{number}_{name}", picture, step)
        for number, (name, block) in enumerate(blocks.items(), start=1):
            kernel = next((m.weight for m in block.modules() if isinstance(m, nn.Conv2d)), None)
            if kernel is not None and kernel.shape[-1] > 1:
                writer.add_image(f"kernels/{number}_{name}", image_grid(as_images(kernel), KERNEL_SIDE), step)


@torch.no_grad()
def record_outputs(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor) -> dict[str, Tensor]:
    """Return the float32 output of each layer for a batch, in the order of the forward pass."""
    outputs: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, layer in layers.items():

            def record(module: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
                outputs[name] = output.float().cpu()

            hooks.enter_context(layer.register_forward_hook(record))
        model.forward(x)
    return outputs


def as_images(kernel: Tensor) -> Tensor:
    """Return kernels `[out, in, h, w]` as images: in colour for three input channels, otherwise one per channel."""
    kernel = kernel.detach().float().cpu()
    return kernel[:MAX_MAPS] if kernel.shape[1] == 3 else kernel.flatten(0, 1)[:MAX_MAPS, None]


def image_grid(images: Tensor, side: int, columns: int = 8) -> Tensor:
    """Return images `[N, C, h, w]` as one, each scaled from its minimum (black) to its maximum (white)."""
    from torchvision.utils import make_grid

    image: Tensor = make_grid(enlarge(images, side), columns, padding=2, normalize=True, scale_each=True, pad_value=0.5)
    return image


def enlarge(images: Tensor, side: int) -> Tensor:
    """Repeat the pixels of images, by the largest factor at which their longer side does not exceed `side`."""
    factor = max(1, side // max(images.shape[-2:]))
    return images.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


class Embedding(ValidationFigure):
    """Shows the inputs of the last layer in the Projector, with target, prediction and, for images, the image."""

    seconds: ClassVar[float] = 0.6

    def draw(self, writer: Any, predictions: SplitPredictions, trainer: L.Trainer) -> None:
        model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
        head = getattr(model, "head", model)  # a backbone may contain linear layers too
        last = next((m for m in reversed(list(head.modules())) if isinstance(m, nn.Linear | SeparateLinear)), None)
        if last is None:
            return
        count = min(MAX_POINTS, len(predictions))
        header, rows = describe_points(predictions, count)
        writer.add_embedding(
            principal_components(inputs_of(last, model, data, count)),
            metadata=[[" ".join(cell.split()) for cell in row] for row in rows],  # a tab would start another column
            metadata_header=header,
            label_img=sprites(data, count) if data.spec.kind == "images" else None,
            global_step=trainer.global_step,
            tag=f"{SPLIT}_embedding",
        )


def describe_points(predictions: SplitPredictions, count: int) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns that describe an example in the Projector, and the first rows."""
    if not isinstance(predictions, ClassPredictions):
        return [*predictions.columns], [[*predictions.describe(position)] for position in range(count)]
    names = predictions.names
    pairs = zip(predictions.labels.tolist()[:count], predictions.predicted.tolist()[:count], strict=True)
    rows = [[names[label], names[predicted], str(label == predicted)] for label, predicted in pairs]
    return ["true", "predicted", "right"], rows


@torch.no_grad()
def inputs_of(layer: nn.Module, model: L.LightningModule, data: DataModule, count: int) -> Tensor:
    """Return the inputs of a layer for the first validation examples, `[count, features]`."""
    inputs: list[Tensor] = []
    with layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0].flatten(1).float().cpu())):
        for x, _ in data.loader(SPLIT, all_ranks=True):
            model.forward(x)
            if sum(map(len, inputs)) >= count:
                break
    return torch.cat(inputs)[:count]


def principal_components(features: Tensor) -> Tensor:
    """Project features that are wider than `DIMENSIONS` onto their principal components."""
    width = min(DIMENSIONS, len(features))
    if features.shape[1] <= width:
        return features
    centred = features - features.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        _, _, components = torch.pca_lowrank(centred, width, center=False)
    return centred @ components


def sprites(data: DataModule, count: int) -> Tensor:
    """Return the images as thumbnails, float `[count, 3, SPRITE, SPRITE]` from 0 to 1."""
    images, _ = data.original(SPLIT).__getitems__(list(range(count)))
    small = F.interpolate(images.float() / 255, (SPRITE, SPRITE), mode="bilinear", antialias=True)
    return small.expand(-1, 3, -1, -1)
