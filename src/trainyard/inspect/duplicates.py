"""Duplicate and near-duplicate examples within a split and across splits, where they leak."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.content import example_digests
from trainyard.data.folder_listing import list_folder
from trainyard.data.image_folder import ImageFolder
from trainyard.data.mapped_rows import MappedRows
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.terminal.tables import table

HASH_SIDE, SIDE = 8, 16  # pixels of the images whose average hashes and whose values are compared
MAX_DIFFERENCE = 16  # of 255: mean difference of two similar images
CHUNK = 4096  # images that are shrunk at a time, which limits the memory
MAX_PAIRS = 12  # that are listed and drawn

Example = tuple[str, int]  # split and position


class Pair(NamedTuple):
    """Two examples that are `exact` duplicates or `similar` images; the first is the first such one in its split."""

    kind: str
    first: Example
    second: Example


def find_duplicates(splits: Mapping[str, Examples]) -> list[Pair]:
    """Return pairs of exact duplicates by content, and pairs of similar images if the images are in memory."""
    exact = equal_keys({name: content_digests(part) for name, part in splits.items()})
    images = {name: part.x for name, part in splits.items() if isinstance(part.x, Tensor) and part.x.ndim == 4}
    similar: list[tuple[Example, Example]] = []
    if images:
        known = set(exact)
        candidates = equal_keys({name: average_hashes(x) for name, x in images.items()})
        similar = near_pairs(images, [pair for pair in candidates if pair not in known])
    return [*(Pair("exact", *pair) for pair in exact), *(Pair("similar", *pair) for pair in similar)]


def content_digests(part: Examples) -> list[bytes]:
    """Return a digest of each example."""
    assert not isinstance(part.x, MappedRows)
    return example_digests(part.x)


def equal_keys(keys: Mapping[str, Sequence[Hashable]]) -> list[tuple[Example, Example]]:
    """Return pairs of examples with equal keys; each is paired with the first such example of each earlier split."""
    first_with: dict[str, dict[Hashable, int]] = {name: {} for name in keys}
    for name, values in keys.items():
        for position, key in enumerate(values):
            first_with[name].setdefault(key, position)
    found = []
    for one, other in combinations_with_replacement(keys, 2):
        for position, key in enumerate(keys[other]):
            first = first_with[one].get(key)
            if first is not None and (one, first) != (other, position):
                found.append(((one, first), (other, position)))
    return found


def average_hashes(images: Tensor) -> list[bytes]:
    """Return the average hash of each image, uint8 `[N, C, H, W]`: which of 8x8 pixels are above their mean."""
    found = []
    for part in images.split(CHUNK):
        small = F.adaptive_avg_pool2d(part.float().mean(1), HASH_SIDE).flatten(1)  # [N, 64]
        found.append(np.packbits((small > small.mean(1, keepdim=True)).numpy(), axis=1))
    return [row.tobytes() for row in np.concatenate(found)]


def near_pairs(images: Mapping[str, Tensor], pairs: Sequence[tuple[Example, Example]]) -> list[tuple[Example, Example]]:
    """Return the pairs whose images differ little at a size of 16x16 pixels."""
    found: list[tuple[Example, Example]] = []
    for start in range(0, len(pairs), CHUNK):
        part = pairs[start : start + CHUNK]
        first, second = (torch.stack([images[split][i] for split, i in side]) for side in zip(*part, strict=True))
        one, other = (F.adaptive_avg_pool2d(x.float(), SIDE) for x in (first, second))
        near = (one - other).abs().flatten(1).mean(1) < MAX_DIFFERENCE
        found += [pair for pair, is_near in zip(part, near.tolist(), strict=True) if is_near]
    return found


def duplicate_table(splits: Mapping[str, Examples], pairs: Sequence[Pair]) -> str:
    """Return the number of pairs within each split and across splits, and the number of contradicting labels."""
    counts = Counter((pair.kind, pair.first[0], pair.second[0]) for pair in pairs)
    kinds = (
        ["exact", "similar"] if all(isinstance(p.x, Tensor) and p.x.ndim == 4 for p in splits.values()) else ["exact"]
    )
    rows = []
    for one, other in combinations_with_replacement(splits, 2):
        numbers = [counts[kind, one, other] for kind in kinds]
        leak = "leak: scored on training examples" if one == "train" != other and numbers[0] else ""
        rows.append([f"within {one}" if one == other else f"{other} in {one}", *numbers, leak])
    text = table(["duplicates", *kinds, ""], rows, right=kinds)
    labels = {name: part.y.tolist() for name, part in splits.items()}
    examples = [(pair.first, pair.second) for pair in pairs if pair.kind == "exact"]
    wrong = sum(labels[one][i] != labels[other][j] for (one, i), (other, j) in examples)
    return f"{text}\n{wrong} of the exact pairs have different labels" if wrong else text


def first_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the first pairs: exact ones before similar ones, and leaks before pairs within a split."""
    return sorted(pairs, key=lambda p: (p.kind, p.first[0] == p.second[0], p.second[0]))[:MAX_PAIRS]


def example_namer(data: DataModule) -> Callable[[Example], str]:
    """Return a function that names an example by its file, its row counted from 1, or its position in the split."""
    files = list_folder(data.root).files if isinstance(data, ImageFolder) else []

    def name(example: Example) -> str:
        split, position = example
        ids = data.splits[split].ids
        if ids is None:
            return f"{split} {position}"
        number = int(ids[position])
        return str(files[number].path) if files else f"{split} row {number + 1}"

    return name


def describe_pairs(pairs: Sequence[Pair], name: Callable[[Example], str]) -> str:
    """Return a line for each pair."""
    rows = []
    for pair in pairs:
        splits = " in ".join(dict.fromkeys((pair.second[0], pair.first[0])))
        rows.append((pair.kind, splits, f"{name(pair.second)} = {name(pair.first)}"))
    return table(["", "", ""], rows)
