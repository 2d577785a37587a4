"""`show data`: splits, classes, statistics, columns, duplicates and figures of a data set."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.data.images.folder_listing import list_folder
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.loading.statistics import example_digests
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.inspect.loaders import describe_loaders
from trainyard.inspect.untrained import build_data
from trainyard.io.errors import join_limited
from trainyard.io.figures import figure_style, save_figure
from trainyard.terminal.tables import table

MAX_CLASSES, EXTREMES = 20, 5  # of more classes, the five most and the five least frequent are printed
MAX_COLUMNS, MAX_LEVELS, MAX_PAIRS = 40, 5, 12  # that are printed: columns, levels of each, pairs of duplicates
DRAWN_CLASSES, DRAWN_IMAGES = 40, 12  # rows, and images in a row
INCHES = 0.6  # side of an image
DRAWN_COLUMNS, DRAWN_LEVELS = 24, 10  # columns of a table; classes and levels, the most frequent
BINS = 24
MAX_OVERLAID = 4  # classes whose histograms are overlaid; more are stacked

Example = tuple[str, int]  # split and position
Pair = tuple[Example, Example]


def show(cfg: DictConfig) -> None:
    """Print a summary of the data, and draw images of each class or the columns of a table, if the data has them."""
    data = build_data(cfg)
    if not isinstance(data, DataModule):
        print(describe_loaders(data))
        return
    pairs = find_duplicates(data.splits)
    print(describe_data(data, cfg.run.choices.data), duplicate_table(data.splits, pairs), sep="\n\n", end="\n\n")
    if pairs:
        print(describe_pairs(data, pairs), end="\n\n")
    figure = draw_images(data, cfg.seed) if data.kind == "images" else draw_columns(data)
    save_figure(figure, "show/data.png")


def describe_data(data: DataModule, name: str) -> str:
    """Return shapes, statistics, class counts and columns in paragraphs."""
    spec = data.spec
    shape = "x".join(map(str, spec.input_shape))
    inputs = f"images {shape}" if data.kind == "images" else f"rows of {shape} columns"
    lines = [f"{name:<12} {inputs}, {len(spec.classes)} classes"]
    if data.kind == "images":
        mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (spec.mean, spec.std))
        lines.append(f"{'channels':<12} mean {mean}, std {std} in train (0 is black, 1 is white)")
    if spec.value_range:
        low, high = spec.value_range
        mean = " ".join(f"{low + value * (high - low):.5g}" for value in spec.mean)
        std = " ".join(f"{value * (high - low):.5g}" for value in spec.std)
        lines.append(f"{'values':<12} {low:.7g} (black) to {high:.7g} (white) in the files; mean {mean}, std {std}")
    paragraphs = ["\n".join(lines), class_counts(data.splits, spec.classes)]
    if data.kind == "rows":
        paragraphs.append(describe_columns(data))
    return "\n\n".join(paragraphs)


def class_counts(splits: Mapping[str, Examples], classes: Sequence[str]) -> str:
    """Return a table with the number and fraction of examples of each class in each split."""
    counts = torch.stack([part.y.bincount(minlength=len(classes)) for part in splits.values()]).T  # [K, splits]
    sizes, rows = counts.sum(0).tolist(), []
    for name, row in zip(classes, counts.tolist(), strict=True):
        rows.append([name, *(f"{count:,} {count / size:>4.0%}" for count, size in zip(row, sizes, strict=True))])
    if len(classes) > MAX_CLASSES:
        rows = [rows[label] for label in counts[:, 0].argsort(descending=True, stable=True).tolist()]
        rest = [f"... {len(classes) - 2 * EXTREMES} more classes", *("" for _ in splits)]
        rows = [*rows[:EXTREMES], rest, *rows[-EXTREMES:]]
    total = ["examples", *(f"{size:,}     " for size in sizes)]
    return table(["", *splits], [total, *rows], right=splits)


def describe_columns(data: DataModule) -> str:
    """Return a table with the kind, the fraction of missing values, and the values of each column in train."""
    x = data.splits["train"].x
    assert isinstance(x, Tensor)
    rows = []
    for number, column in enumerate(data.spec.columns[:MAX_COLUMNS]):
        values = x[:, number]
        missing = (values == 0) if column.levels else values.isnan()
        kind = "category" if column.levels else "date" if column.part else "number"
        content = describe_levels(column, values) if column.levels else describe_numbers(values[~missing])
        rows.append((column.name, kind, f"{missing.float().mean().item():.1%}", content))
    text = table(["column", "kind", "missing", "values in train"], rows, right=["missing"])
    rest = len(data.spec.columns) - MAX_COLUMNS
    return f"{text}\n... and {rest} more columns" if rest > 0 else text


def describe_numbers(values: Tensor) -> str:
    """Return range, mean and standard deviation."""
    if not len(values):
        return "none"
    std, mean = torch.std_mean(values.double(), correction=0)
    return f"{values.min():.6g} to {values.max():.6g}, mean {mean:.4g}, std {std:.4g}"


def describe_levels(column: Column, codes: Tensor) -> str:
    """Return the number of levels, and the most frequent ones with their counts."""
    counts = codes.long().bincount(minlength=len(column.levels) + 1)[1:]
    order = counts.argsort(descending=True, stable=True).tolist()
    frequent = join_limited((f"{column.levels[level]} {counts[level]}" for level in order), MAX_LEVELS)
    return f"{len(order)} levels: {frequent}"


def find_duplicates(splits: Mapping[str, Examples]) -> list[Pair]:
    """Return pairs of examples with the same content: the first such example of each split, and each later one."""
    digests = {name: example_digests(part.x) for name, part in splits.items()}  # type: ignore[arg-type]
    pairs = []
    for one, other in combinations_with_replacement(digests, 2):
        first = {digest: position for position, digest in reversed(list(enumerate(digests[one])))}
        for position, digest in enumerate(digests[other]):
            if digest in first and (one, first[digest]) != (other, position):
                pairs.append(((one, first[digest]), (other, position)))
    return pairs


def duplicate_table(splits: Mapping[str, Examples], pairs: Sequence[Pair]) -> str:
    """Return the number of pairs within each split and across splits, and the number of contradicting labels."""
    counts = Counter((one, other) for (one, _), (other, _) in pairs)
    rows = []
    for one, other in combinations_with_replacement(splits, 2):
        leak = "leak: scored on training examples" if one == "train" != other and counts[one, other] else ""
        rows.append((f"within {one}" if one == other else f"{other} in {one}", counts[one, other], leak))
    text = table(["duplicates", "pairs", ""], rows, right=["pairs"])
    different = sum(splits[one].y[i].item() != splits[other].y[j].item() for (one, i), (other, j) in pairs)
    return f"{text}\n{different} of them with different labels" if different else text


def describe_pairs(data: DataModule, pairs: Sequence[Pair]) -> str:
    """Return a line for each of the first pairs; leaks precede pairs within a split."""
    files = list_folder(data.root).files if isinstance(data, ImageFolder) else []

    def name(example: Example) -> str:
        """Return the file of an example, its row counted from 1, or its position in the split."""
        split, position = example
        ids = data.splits[split].ids
        if ids is None:
            return f"{split} {position}"
        number = int(ids[position])
        return str(files[number].path) if files else f"{split} row {number + 1}"

    rows = []
    for first, second in sorted(pairs, key=lambda pair: (pair[0][0] == pair[1][0], pair[1][0]))[:MAX_PAIRS]:
        splits = " in ".join(dict.fromkeys((second[0], first[0])))
        rows.append((splits, f"{name(second)} = {name(first)}"))
    return table(["", ""], rows)


@figure_style()
def draw_images(data: DataModule, seed: int) -> Figure:
    """Draw random training images of each class, and below them the same images augmented, if training augments."""
    classes = data.spec.classes[:DRAWN_CLASSES]
    strips = class_strips(data, len(classes), DRAWN_IMAGES, seed)
    height, width, _ = strips[0].shape
    size = (DRAWN_IMAGES * INCHES + 1.4, len(classes) * (DRAWN_IMAGES * INCHES * height / width + 0.12) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(classes), squeeze=False).flatten()
    for axis, strip, name in zip(axes, strips, classes, strict=True):
        axis.imshow(strip.numpy(), interpolation="nearest" if len(strip) < 128 else "antialiased")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(name if len(name) <= 20 else f"{name[:19]}…", rotation=0, ha="right", va="center", fontsize=9)
    rest = f" of {len(classes)} of {len(data.spec.classes)} classes" if len(classes) < len(data.spec.classes) else ""
    below = "; below each class, the same images augmented" if data.augment else ""
    figure.suptitle(f"training images{rest}{below}", fontsize=10)
    return figure


def class_strips(data: DataModule, classes: int, count: int, seed: int) -> list[Tensor]:
    """Return one picture for each class, float `[H, W, 3]`: its images in a row, and the augmented ones below."""
    train, generator = data.splits["train"], derive_generator(seed)
    chosen = []
    for label in range(classes):
        members = (train.y == label).nonzero().flatten()
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
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
    """Draw the distribution of each column in the training rows, by class."""
    train, classes = data.splits["train"], data.spec.classes
    assert isinstance(train.x, Tensor)
    frequent = train.y.bincount(minlength=len(classes)).argsort(descending=True, stable=True)
    labels = frequent[:DRAWN_LEVELS].sort().values
    columns = data.spec.columns[:DRAWN_COLUMNS]
    across = min(4, len(columns))
    rows = math.ceil(len(columns) / across)
    figure = Figure(figsize=(3.2 * across + 0.5, 2.4 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for axis in axes[len(columns) :]:
        axis.set_axis_off()
    for number, (axis, column) in enumerate(zip(axes, columns, strict=False)):
        draw_values(axis, [train.x[train.y == label, number] for label in labels], column)
        axis.set_title(column.name, fontsize=9)
        axis.tick_params(labelsize=8)
    handles = [Patch(color=f"C{number}", label=classes[label]) for number, label in enumerate(labels)]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    rest = "" if len(classes) <= DRAWN_LEVELS else f" of the {DRAWN_LEVELS} most frequent classes"
    figure.suptitle(f"training rows{rest}, by column", fontsize=10)
    return figure


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
