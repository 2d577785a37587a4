"""What each column of a table holds, in the training rows."""

import torch
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column
from trainyard.errors import listing

MOST = 40  # columns
LEVELS = 5  # of a category, the most frequent


def columns(data: DataModule) -> str:
    """Return a row a column: what it is, the share of rows that miss it, and its values."""
    train = data.splits["train"].x
    assert isinstance(train, Tensor)
    shown = data.spec.columns[:MOST]
    width = max(len("column"), *(len(column.name) for column in shown))
    lines = [f"{'column':<{width}}  {'kind':<10} {'missing':>7}  values in train"]
    for number, column in enumerate(shown):
        values = train[:, number]
        missing = (values == 0) if column.levels else values.isnan()
        kind = "category" if column.levels else "date" if column.part else "number"
        said = levels(column, values) if column.levels else spread(values[~missing])
        lines.append(f"{column.name:<{width}}  {kind:<10} {missing.float().mean().item():>7.1%}  {said}")
    if len(data.spec.columns) > MOST:
        lines.append(f"... and {len(data.spec.columns) - MOST} more columns")
    return "\n".join(lines)


def spread(values: Tensor) -> str:
    """Return the range, the mean and the standard deviation of numbers."""
    if not len(values):
        return "none"
    std, mean = torch.std_mean(values.double(), correction=0)
    return f"{values.min():.6g} to {values.max():.6g}, mean {mean:.4g}, std {std:.4g}"


def levels(column: Column, codes: Tensor) -> str:
    """Return how many levels a category has, and how often the most frequent appear."""
    counts = codes.long().bincount(minlength=len(column.levels) + 1)[1:]
    order = counts.argsort(descending=True, stable=True).tolist()
    return f"{len(order)} levels: " + listing((f"{column.levels[level]} {counts[level]}" for level in order), LEVELS)
