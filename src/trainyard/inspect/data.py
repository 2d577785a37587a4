"""`show data`: splits, classes, statistics, columns, duplicates and figures of a data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import torch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.loading.statistics import example_digests
from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.data.loading.target_statistics import examples_of_each, summarize_target
from trainyard.data.sources.image_source import ImageSource
from trainyard.inspect.data_figures import draw_columns, draw_images
from trainyard.inspect.loaders import describe_loaders
from trainyard.inspect.untrained import untrained_data
from trainyard.io.errors import join_limited
from trainyard.io.figures import save_figure
from trainyard.terminal.tables import table

MAX_CLASSES, EXTREMES = 20, 5  # of more classes, the five most and the five least frequent are printed
MAX_COLUMNS, MAX_LEVELS, MAX_PAIRS = 40, 5, 12  # that are printed: columns, levels of each, pairs of duplicates

Example = tuple[str, int]  # split and position
Pair = tuple[Example, Example]


def show(cfg: DictConfig) -> None:
    """Print a summary of the data, and draw images of each class or the columns of a table, if the data has them."""
    data = untrained_data(cfg)
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
    """Return shapes, statistics, targets and columns in paragraphs."""
    spec = data.spec
    shape = "x".join(map(str, spec.input_shape))
    inputs = f"images {shape}" if data.kind == "images" else f"rows of {shape} columns"
    lines = [f"{name:<12} {inputs}, {summarize_target(spec.target)}"]
    if data.kind == "images":
        mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (spec.mean, spec.std))
        lines.append(f"{'channels':<12} mean {mean}, std {std} in train (0 is black, 1 is white)")
    if spec.value_range:
        low, high = spec.value_range
        mean = " ".join(f"{low + value * (high - low):.5g}" for value in spec.mean)
        std = " ".join(f"{value * (high - low):.5g}" for value in spec.std)
        lines.append(f"{'values':<12} {low:.7g} (black) to {high:.7g} (white) in the files; mean {mean}, std {std}")
    target, splits = spec.target, data.splits
    counts = number_statistics(splits, target) if isinstance(target, Numbers) else target_counts(splits, target)
    paragraphs = ["\n".join(lines), counts]
    if data.kind == "rows":
        paragraphs.append(describe_columns(data))
    return "\n\n".join(paragraphs)


def number_statistics(splits: Mapping[str, Examples], target: Numbers) -> str:
    """Return a table with the mean, the standard deviation and the range of each number in each split."""
    rows = [["examples", *(f"{len(part):,}" for part in splits.values())]]
    for number, name in enumerate(target.names[:MAX_CLASSES]):
        columns = [part.y[:, number].double() for part in splits.values()]
        rows.append([f"{name} mean", *(f"{values.mean():.5g}" for values in columns)])
        rows.append([f"{name} std", *(f"{values.std(correction=0):.5g}" for values in columns)])
        rows.append([f"{name} range", *(f"{values.min():.5g} to {values.max():.5g}" for values in columns)])
    return table(["", *splits], rows, right=splits)


def target_counts(splits: Mapping[str, Examples], target: Classes | Labels) -> str:
    """Return a table with the number and fraction of examples of each class or label in each split."""
    classes, sizes, rows = target.names, [len(part) for part in splits.values()], []
    counts = [*zip(*(examples_of_each(part.y, target) for part in splits.values()), strict=True)]  # by class and split
    for name, row in zip(classes, counts, strict=True):
        rows.append([name, *(f"{count:,} {count / size:>4.0%}" for count, size in zip(row, sizes, strict=True))])
    if len(classes) > MAX_CLASSES:
        rows = [rows[label] for label in sorted(range(len(rows)), key=lambda label: -counts[label][0])]
        rest = [f"... {len(classes) - 2 * EXTREMES} more {target.nouns}", *("" for _ in splits)]
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
    """Return the number of pairs within each split and across splits, and how many have different targets."""
    counts = Counter((one, other) for (one, _), (other, _) in pairs)
    rows = []
    for one, other in combinations_with_replacement(splits, 2):
        leak = "leak: scored on training examples" if one == "train" != other and counts[one, other] else ""
        rows.append((f"within {one}" if one == other else f"{other} in {one}", counts[one, other], leak))
    text = table(["duplicates", "pairs", ""], rows, right=["pairs"])
    different = sum(not torch.equal(splits[one].y[i], splits[other].y[j]) for (one, i), (other, j) in pairs)
    return f"{text}\n{different} of them with different targets" if different else text


def describe_pairs(data: DataModule, pairs: Sequence[Pair]) -> str:
    """Return a line for each of the first pairs; leaks precede pairs within a split."""

    def name(example: Example) -> str:
        """Return the file of an example, its row counted from 1, or its position in the split."""
        split, position = example
        ids = data.splits[split].ids
        if ids is None:
            return f"{split} {position}"
        number = int(ids[position])
        return data.name_of(number) if isinstance(data, ImageSource) else f"{split} row {number + 1}"

    rows = []
    for first, second in sorted(pairs, key=lambda pair: (pair[0][0] == pair[1][0], pair[1][0]))[:MAX_PAIRS]:
        splits = " in ".join(dict.fromkeys((second[0], first[0])))
        rows.append((splits, f"{name(second)} = {name(first)}"))
    return table(["", ""], rows)
