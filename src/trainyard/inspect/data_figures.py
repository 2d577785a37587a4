"""Figures of the training examples for `show data`: images, or the columns of a table, by target."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.io.figures import figure_style

DRAWN_CLASSES, DRAWN_IMAGES = 40, 12  # rows, and images in a row
DRAWN_RANGES = 6  # rows of images for a number, from its lowest to its highest values
INCHES = 0.6  # side of an image
DRAWN_COLUMNS, DRAWN_LEVELS = 24, 10  # columns of a table; classes and levels, the most frequent
DRAWN_ROWS = 2000  # points
BINS = 24
MAX_OVERLAID = 4  # classes whose histograms are overlaid; more are stacked

Groups = dict[str, Tensor]  # positions of training examples by class, label or range of a number


def group_examples(y: Tensor, target: Target) -> Groups:
    """Return the positions of the examples of each class or label, or of each range of the first number."""
    if isinstance(target, Classes):
        return {name: (y == label).nonzero().flatten() for label, name in enumerate(target.names)}
    if isinstance(target, Labels):
        return {name: y[:, label].nonzero().flatten() for label, name in enumerate(target.names)}
    numbers = y[:, 0]
    ranges = [part for part in numbers.argsort(stable=True).tensor_split(DRAWN_RANGES) if len(part)]
    return {f"{numbers[part[0]]:.4g} to {numbers[part[-1]]:.4g}": part for part in ranges}


@figure_style()
def draw_images(data: DataModule, seed: int) -> Figure:
    """Draw random training images of each group, and below them the same images augmented, if training augments."""
    target = data.spec.target
    groups = group_examples(data.splits["train"].y, target)
    classes = list(groups)[:DRAWN_CLASSES]
    strips = image_strips(data, [groups[name] for name in classes], DRAWN_IMAGES, seed)
    height, width, _ = strips[0].shape
    size = (DRAWN_IMAGES * INCHES + 1.4, len(classes) * (DRAWN_IMAGES * INCHES * height / width + 0.12) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(classes), squeeze=False).flatten()
    for axis, strip, name in zip(axes, strips, classes, strict=True):
        axis.imshow(strip.numpy(), interpolation="nearest" if len(strip) < 128 else "antialiased")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(name if len(name) <= 20 else f"{name[:19]}…", rotation=0, ha="right", va="center", fontsize=9)
    rest = f" of {len(classes)} of {len(groups)} {target.nouns}" if len(classes) < len(groups) else ""
    by = f" by {target.names[0]}" if isinstance(target, Numbers) else ""
    below = "; below each row, the same images augmented" if data.augment else ""
    figure.suptitle(f"training images{rest}{by}{below}", fontsize=10)
    return figure


def image_strips(data: DataModule, groups: Sequence[Tensor], count: int, seed: int) -> list[Tensor]:
    """Return one picture for each group, float `[H, W, 3]`: its images in a row, and the augmented ones below."""
    train, generator = data.splits["train"], derive_generator(seed)
    chosen = [members[torch.randperm(len(members), generator=generator)[:count]] for members in groups]
    index = torch.cat(chosen)
    x = train.x[index] if isinstance(train.x, Tensor) else train.x.read(index)
    sizes = [len(members) for members in chosen]
    strips = [image_strip(images, count) for images in x.split(sizes)]
    if not data.augment:
        return strips
    augmented = data.augment(x, train.y[index], generator, len(data.spec.classes))[0].split(sizes)
    return [torch.cat([strip, image_strip(images, count)]) for strip, images in zip(strips, augmented, strict=True)]


def image_strip(images: Tensor, count: int) -> Tensor:
    """Return up to `count` images side by side, padded with white: `[B, C, H, W]` -> `[H, W, 3]`."""
    gap = max(1, images.shape[-1] // 16)
    colours = (images.float() / 255).clamp(0, 1).expand(-1, 3, -1, -1)
    padded = torch.cat([colours, torch.ones(count - len(colours), *colours.shape[1:])])
    return torch.cat(list(F.pad(padded, (gap, gap, gap, gap), value=1.0)), dim=2).permute(1, 2, 0)


@figure_style()
def draw_columns(data: DataModule) -> Figure:
    """Draw each column in the training rows: its distribution by class or label, or the first number against it."""
    train, target = data.splits["train"], data.spec.target
    assert isinstance(train.x, Tensor)
    columns = data.spec.columns[:DRAWN_COLUMNS]
    across = min(4, len(columns))
    rows = math.ceil(len(columns) / across)
    figure = Figure(figsize=(3.2 * across + 0.5, 2.4 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for axis in axes[len(columns) :]:
        axis.set_axis_off()
    groups = {} if isinstance(target, Numbers) else most_frequent(group_examples(train.y, target))
    for number, (axis, column) in enumerate(zip(axes, columns, strict=False)):
        values = train.x[:, number]
        if isinstance(target, Numbers):
            draw_points(axis, values[:DRAWN_ROWS], train.y[:DRAWN_ROWS, 0], column)
        else:
            draw_values(axis, [values[members] for members in groups.values()], column)
        axis.set_title(column.name, fontsize=9)
        axis.tick_params(labelsize=8)
    if isinstance(target, Numbers):
        figure.suptitle(f"{target.names[0]} in the training rows, by column", fontsize=10)
        return figure
    handles = [Patch(color=f"C{number}", label=name) for number, name in enumerate(groups)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    is_part = len(groups) < len(target.names)
    rest = f" of the {DRAWN_LEVELS} most frequent {target.nouns}" if is_part else ""
    figure.suptitle(f"training rows{rest}, by column", fontsize=10)
    return figure


def most_frequent(groups: Groups) -> Groups:
    """Return the largest groups, in the given order."""
    largest = sorted(groups, key=lambda name: -len(groups[name]))[:DRAWN_LEVELS]
    return {name: members for name, members in groups.items() if name in largest}


def draw_points(axis: Axes, values: Tensor, numbers: Tensor, column: Column) -> None:
    """Draw numbers against the values of a column; the rows of each level of a category are spread horizontally."""
    x, y = values.double().numpy(), numbers.double().numpy()
    if column.levels:
        levels = [level[:12] for level in column.levels[:DRAWN_LEVELS]]
        shown = (x >= 1) & (x <= len(levels))
        x, y = x[shown], y[shown]
        x = x + 0.6 * (np.random.default_rng(0).random(len(x)) - 0.5)
        axis.set_xticks(range(1, len(levels) + 1), levels, rotation=30, ha="right")
    axis.plot(x, y, ".", markersize=3, alpha=0.4)


def draw_values(axis: Axes, values: list[Tensor], column: Column) -> None:
    """Draw histograms of each class: with the same bins for numbers, with bars for the first levels of a category."""
    known = [part[~part.isnan()].double().numpy() for part in values]
    colours = [f"C{number}" for number in range(len(known))]
    if column.levels:
        levels = [level[:12] for level in column.levels[:DRAWN_LEVELS]]
        edges = [number + 0.5 for number in range(len(levels) + 1)]  # code 0 is a missing or new level
        axis.hist(known, edges, color=colours, histtype="bar", alpha=0.7)
        axis.set_xticks(range(1, len(levels) + 1), levels, rotation=30, ha="right")
    else:
        kind, alpha = ("stepfilled", 0.5) if len(known) <= MAX_OVERLAID else ("barstacked", 0.8)
        numbers = np.concatenate(known)
        low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
        width = high - low or max(1.0, abs(low))  # large integers may be equal as float32
        bins = np.linspace(low, low + width, BINS + 1)
        axis.hist(known, bins, color=colours, histtype=kind, alpha=alpha)  # type: ignore[arg-type]
