"""Figures of a data set: images of each class with their augmentation, and columns by class."""

import math

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column, Examples
from trainyard.io.figures import figure_style, save_figure

MAX_CLASSES, ROWS, MAX_IMAGES = 100, 25, 16  # classes, classes below each other, images beside each other
INCHES = 0.6  # side of an image
MAX_NAME = 20  # characters of a class
ACROSS = 4  # axes beside each other
MAX_COLUMNS, MAX_LEVELS = 24, 10  # columns of a table; classes and levels, the most frequent
BINS = 24
MAX_OVERLAID = 4  # classes whose histograms are overlaid; more are stacked


@figure_style()
def draw_images(data: DataModule, seed: int) -> None:
    """Draw random training images of each class, and below them the same images augmented, if training augments."""
    classes = data.spec.classes[:MAX_CLASSES]
    blocks = math.ceil(len(classes) / ROWS)
    count = min(12, MAX_IMAGES // blocks)
    strips = class_strips(data, len(classes), count, seed)
    _, height, width = data.spec.input_shape
    rows, lines = math.ceil(len(classes) / blocks), 2 if data.augment else 1
    size = (blocks * (count * INCHES + 1.4), rows * (lines * INCHES * height / width + 0.12) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, blocks, squeeze=False).T.flatten()  # down each block, then the next
    for axis in axes[len(classes) :]:
        axis.set_axis_off()
    for axis, strip, name in zip(axes, strips, classes, strict=False):
        axis.imshow(strip.numpy(), interpolation="nearest" if len(strip) < 128 else "antialiased")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2]}…{name[-MAX_NAME // 2 :]}"
        axis.set_ylabel(short, rotation=0, ha="right", va="center", fontsize=9)
    below = "; below each class, the same images augmented" if data.augment else ""
    some = (
        f" of the first {MAX_CLASSES} of {len(data.spec.classes)} classes"
        if len(data.spec.classes) > MAX_CLASSES
        else ""
    )
    figure.suptitle(f"training images{some}{below}", fontsize=10)
    save_figure(figure, "show/data.png")


def class_strips(data: DataModule, classes: int, count: int, seed: int) -> list[Tensor]:
    """Return one picture for each class, float `[H, W, 3]`: its images in a row, and the augmented ones below."""
    train, draws = data.splits["train"], derive_generator(seed)
    chosen = []
    for label in range(classes):
        members = (train.y == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=draws)[:count]])
    x, y = read_images(train, torch.cat(chosen)), train.y[torch.cat(chosen)]
    versions = [x, data.augment(x, y, draws, len(data.spec.classes))[0]] if data.augment else [x]
    sizes = [len(members) for members in chosen]
    parts = zip(*(version.split(sizes) for version in versions), strict=True)
    return [torch.cat([image_strip(version, count) for version in part]) for part in parts]


def read_images(examples: Examples, index: Tensor) -> Tensor:
    """Return the images at these positions, uint8 `[B, C, H, W]`."""
    return examples.x[index] if isinstance(examples.x, Tensor) else examples.x.read(index)


def image_strip(images: Tensor, count: int) -> Tensor:
    """Return up to `count` images beside each other, padded with white: `[B, C, H, W]` -> `[H, W, 3]`."""
    gap = max(1, images.shape[-1] // 16)
    shown = (images.float() / 255).clamp(0, 1).expand(-1, 3, -1, -1)
    padded = torch.cat([shown, torch.ones(count - len(shown), *shown.shape[1:])])
    return torch.cat(list(F.pad(padded, (gap, gap, gap, gap), value=1.0)), dim=2).permute(1, 2, 0)


@figure_style()
def draw_columns(data: DataModule) -> None:
    """Draw the distribution of each column in the training rows, by class."""
    train = data.splits["train"]
    x, classes = train.x, data.spec.classes
    assert isinstance(x, Tensor)
    frequent = train.y.bincount(minlength=len(classes)).argsort(descending=True, stable=True)
    labels = frequent[:MAX_LEVELS].sort().values
    columns = data.spec.columns[:MAX_COLUMNS]
    across = min(ACROSS, len(columns))
    rows = math.ceil(len(columns) / across)
    figure = Figure(figsize=(3.2 * across + 0.5, 2.4 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for axis in axes[len(columns) :]:
        axis.set_axis_off()
    for number, (axis, column) in enumerate(zip(axes, columns, strict=False)):
        draw = draw_levels if column.levels else draw_numbers
        draw(axis, [x[train.y == label, number] for label in labels], column)
        axis.set_title(column.name, fontsize=9)
        axis.tick_params(labelsize=8)
    handles = [Patch(color=f"C{number}", label=classes[label]) for number, label in enumerate(labels)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    some = "" if len(classes) <= MAX_LEVELS else f" of the {MAX_LEVELS} most frequent classes"
    figure.suptitle(f"training rows{some}, by column", fontsize=10)
    save_figure(figure, "show/data.png")


def draw_numbers(axis: Axes, values: list[Tensor], column: Column) -> None:
    """Draw histograms of each class with the same bins."""
    known = [part[~part.isnan()].double() for part in values]
    all_values = torch.cat(known)
    limits = (all_values.min().item(), all_values.max().item()) if len(all_values) else (0.0, 1.0)
    kind, alpha = ("stepfilled", 0.5) if len(known) <= MAX_OVERLAID else ("barstacked", 0.8)
    colours = [f"C{number}" for number in range(len(known))]
    axis.hist([part.numpy() for part in known], BINS, range=limits, color=colours, histtype=kind, alpha=alpha)  # type: ignore[arg-type]


def draw_levels(axis: Axes, values: list[Tensor], column: Column) -> None:
    """Draw a bar for each level and class; missing values and rare levels are left out."""
    counts = torch.stack([part.long().bincount(minlength=len(column.levels) + 1)[1:] for part in values])  # [K, levels]
    order = counts.sum(0).argsort(descending=True, stable=True)[:MAX_LEVELS]
    width = 0.8 / len(values)
    for number, heights in enumerate(counts[:, order]):
        axis.bar(torch.arange(len(order)) + number * width, heights.numpy(), width, alpha=0.7, color=f"C{number}")
    names = [column.levels[level][:12] for level in order]
    axis.set_xticks((torch.arange(len(order)) + 0.4 - width / 2).tolist(), names, rotation=30, ha="right")
