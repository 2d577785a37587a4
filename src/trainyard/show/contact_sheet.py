"""Pictures of each class, and what the augmentation makes of them."""

import math

import torch
import torch.nn.functional as F
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.sampler import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.figures import save

MOST = 100  # classes
ROWS = 25  # classes below each other
ACROSS = 16  # images beside each other, of all classes in a row
INCHES = 0.6  # of an image
NAME = 20  # characters of a class


@rc_context({"text.parse_math": False})  # a $ in a name is a $
def draw_images(data: DataModule, seed: int) -> None:
    """Draw a few training images of each class, chosen by the seed; below them the same, augmented, if they will be."""
    classes = data.spec.classes[:MOST]
    blocks = math.ceil(len(classes) / ROWS)
    count = min(12, ACROSS // blocks)
    strips = strips_of(data, len(classes), count, seed)
    rows, lines = math.ceil(len(classes) / blocks), 2 if data.augment else 1
    size = (blocks * (count * INCHES + 1.4), rows * (lines * INCHES * aspect(data) + 0.12) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, blocks, squeeze=False)
    for number, axis in enumerate(axes.T.flatten()):  # down each block, then the next
        if number < len(classes):
            draw_class(axis, strips[number], classes[number])
        else:
            axis.set_axis_off()
    below = "; below each class, the same as augmentation changes them" if data.augment else ""
    some = f" of the first {MOST} of {len(data.spec.classes)} classes" if len(data.spec.classes) > MOST else ""
    figure.suptitle(f"training images{some}{below}", fontsize=10)
    save(figure, "show/data.png")


def aspect(data: DataModule) -> float:
    """Return the height of an image by its width."""
    _, height, width = data.spec.input_shape
    return height / width


def strips_of(data: DataModule, classes: int, count: int, seed: int) -> list[Tensor]:
    """Return the picture of each class, float `[H, W, 3]`: its images in a row, and the augmented ones below."""
    train, draws = data.splits["train"], derive_generator(seed)
    chosen = []
    for label in range(classes):
        members = (train.y == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=draws)[:count]])
    x, y = images(train, torch.cat(chosen)), train.y[torch.cat(chosen)]
    versions = [x, data.augment(x, y, draws, len(data.spec.classes))[0]] if data.augment else [x]
    sizes = [len(members) for members in chosen]
    parts = zip(*(version.split(sizes) for version in versions), strict=True)
    return [torch.cat([strip(version, count) for version in part]) for part in parts]


def images(examples: Examples, index: Tensor) -> Tensor:
    """Return the images at these positions, uint8 `[B, C, H, W]`."""
    if isinstance(examples.x, Tensor):
        return examples.x[index]
    return examples.x.read(index)


def strip(pictures: Tensor, count: int) -> Tensor:
    """Return up to `count` images beside each other, white where there are fewer: `[B, C, H, W]` -> `[H, W, 3]`."""
    gap = max(1, pictures.shape[-1] // 16)
    shown = (pictures.float() / 255).clamp(0, 1).expand(-1, 3, -1, -1)
    whole = torch.cat([shown, torch.ones(count - len(shown), *shown.shape[1:])])
    spaced = F.pad(whole, (gap, gap, gap, gap), value=1.0)
    return torch.cat(list(spaced), dim=2).permute(1, 2, 0)


def draw_class(axis: Axes, picture: Tensor, name: str) -> None:
    """Draw the images of a class beside its name."""
    axis.imshow(picture.numpy(), interpolation="nearest" if len(picture) < 128 else "antialiased")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    shortened = name if len(name) <= NAME else f"{name[: NAME // 2]}…{name[-NAME // 2 :]}"
    axis.set_ylabel(shortened, rotation=0, ha="right", va="center", fontsize=9)
