"""`show data`: splits, classes, statistics, columns and duplicates of a data set."""

from collections.abc import Mapping, Sequence

import torch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column, Examples
from trainyard.errors import listing
from trainyard.inspect.data_figures import draw_columns, draw_images
from trainyard.inspect.duplicates import describe_pairs, duplicate_table, find_duplicates
from trainyard.inspect.untrained import build_data
from trainyard.terminal.tables import table

MAX_CLASSES, EXTREMES = 20, 5  # of more classes, the five most and the five least frequent are shown
MAX_COLUMNS, MAX_LEVELS = 40, 5


def show(cfg: DictConfig) -> None:
    """Print a summary of the data, and draw examples of each class or the columns of a table."""
    data = build_data(cfg)
    found = find_duplicates(data.splits)
    print(describe_data(data, cfg.run.choices.data), duplicate_table(data.splits, found), sep="\n\n", end="\n\n")
    if found:
        print(describe_pairs(data, found), end="\n\n")
    if data.kind == "images":
        draw_images(data, cfg.seed)
    else:
        draw_columns(data)


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
    sizes = counts.sum(0).tolist()
    rows = [
        [name, *(f"{count:,} {count / size:>4.0%}" for count, size in zip(row, sizes, strict=True))]
        for name, row in zip(classes, counts.tolist(), strict=True)
    ]
    if len(classes) > MAX_CLASSES:
        rows = [rows[label] for label in counts[:, 0].argsort(descending=True, stable=True).tolist()]
        rest = [f"... {len(classes) - 2 * EXTREMES} more classes", *("" for _ in splits)]
        rows = [*rows[:EXTREMES], rest, *rows[-EXTREMES:]]
    total = ["examples", *(f"{size:,}     " for size in sizes)]
    return table(["", *splits], [total, *rows], right=splits)


def describe_columns(data: DataModule) -> str:
    """Return a table with the kind, the fraction of missing values, and the values of each column in train."""
    train = data.splits["train"].x
    assert isinstance(train, Tensor)
    rows = []
    for number, column in enumerate(data.spec.columns[:MAX_COLUMNS]):
        values = train[:, number]
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
    frequent = listing((f"{column.levels[level]} {counts[level]}" for level in order), MAX_LEVELS)
    return f"{len(order)} levels: {frequent}"
