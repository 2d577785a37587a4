"""`show data`: splits, classes, statistics, columns and duplicates of a data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

import torch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.data.images.folder_listing import list_folder
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import example_digests
from trainyard.data.loading.spec import Column, Examples, MappedRows
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.inspect.data_figures import draw_columns, draw_images
from trainyard.inspect.untrained import build_data
from trainyard.io.errors import join_limited
from trainyard.terminal.tables import table

MAX_CLASSES, EXTREMES = 20, 5  # of more classes, the five most and the five least frequent are shown
MAX_COLUMNS, MAX_LEVELS = 40, 5
MAX_PAIRS = 12  # of duplicates that are listed

Example = tuple[str, int]  # split and position
Pair = tuple[Example, Example]


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
    frequent = join_limited((f"{column.levels[level]} {counts[level]}" for level in order), MAX_LEVELS)
    return f"{len(order)} levels: {frequent}"


def find_duplicates(splits: Mapping[str, Examples]) -> list[Pair]:
    """Return pairs of examples with the same content, each with the first such example of its split or earlier ones."""
    digests = {name: content_digests(part) for name, part in splits.items()}
    first_with: dict[str, dict[bytes, int]] = {name: {} for name in digests}
    for name, values in digests.items():
        for position, digest in enumerate(values):
            first_with[name].setdefault(digest, position)
    found = []
    for one, other in combinations_with_replacement(digests, 2):
        for position, digest in enumerate(digests[other]):
            first = first_with[one].get(digest)
            if first is not None and (one, first) != (other, position):
                found.append(((one, first), (other, position)))
    return found


def content_digests(part: Examples) -> list[bytes]:
    """Return a digest of each example."""
    assert not isinstance(part.x, MappedRows)
    return example_digests(part.x)


def duplicate_table(splits: Mapping[str, Examples], pairs: Sequence[Pair]) -> str:
    """Return the number of pairs within each split and across splits, and the number of contradicting labels."""
    counts = Counter((one, other) for (one, _), (other, _) in pairs)
    rows = []
    for one, other in combinations_with_replacement(splits, 2):
        leak = "leak: scored on training examples" if one == "train" != other and counts[one, other] else ""
        rows.append((f"within {one}" if one == other else f"{other} in {one}", counts[one, other], leak))
    text = table(["duplicates", "pairs", ""], rows, right=["pairs"])
    labels = {name: part.y.tolist() for name, part in splits.items()}
    wrong = sum(labels[one][i] != labels[other][j] for (one, i), (other, j) in pairs)
    return f"{text}\n{wrong} of them with different labels" if wrong else text


def describe_pairs(data: DataModule, pairs: Sequence[Pair]) -> str:
    """Return a line for each of the first pairs, leaks before pairs within a split."""
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
