"""Examples that are there twice: within a split, and across splits, where they leak."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.loading.fingerprint import example_digests
from trainyard.data.loading.spec import Examples, MappedRows

HASH_SIDE, SIDE = 8, 16  # pixels of the pictures by which two may be, and are, alike
NEAR = 16  # of 255: mean difference of two pictures that are alike
CHUNK = 4096  # images made small at a time; bounds the memory

Pair = tuple[int, int]
Splits = tuple[str, str]


@dataclass(frozen=True)
class Duplicates:
    """Pairs of examples that are the same, by the splits that they lie in.

    Attributes:
        exact: pairs of positions; each example of the second split is paired with the first like it in the first.
        alike: pairs of images that are not the same but look so; None where images are not compared.
        contradictions: how many of the exact pairs have two classes.
    """

    exact: dict[Splits, list[Pair]]
    alike: dict[Splits, list[Pair]] | None
    contradictions: int


def duplicates_of(splits: Mapping[str, Examples]) -> Duplicates:
    """Return what lies twice in the splits, by the content of each example."""
    digests = {name: digests_of(part) for name, part in splits.items()}
    exact = pairs_of(digests)
    labels = {name: part.y.tolist() for name, part in splits.items()}
    contradictions = sum(
        labels[first][one] != labels[second][two] for (first, second), pairs in exact.items() for one, two in pairs
    )
    if not all(isinstance(part.x, Tensor) and part.x.ndim == 4 for part in splits.values()):
        return Duplicates(exact, None, contradictions)
    images = {name: part.x for name, part in splits.items() if isinstance(part.x, Tensor)}
    alike = {}
    for (first, second), pairs in pairs_of({name: average_hashes(x) for name, x in images.items()}).items():
        same = set(exact[first, second])
        others = [pair for pair in pairs if pair not in same]
        alike[first, second] = near(images[first], images[second], others)
    return Duplicates(exact, alike, contradictions)


def digests_of(part: Examples) -> list[bytes]:
    """Return a digest of each example."""
    assert not isinstance(part.x, MappedRows)
    return example_digests(part.x)


def pairs_of(keys: Mapping[str, Sequence[Hashable]]) -> dict[Splits, list[Pair]]:
    """Return, for each two splits and each by itself, the pairs of positions with the same key."""
    first_with: dict[str, dict[Hashable, int]] = {name: {} for name in keys}
    for name, values in keys.items():
        for position, key in enumerate(values):
            first_with[name].setdefault(key, position)
    found: dict[Splits, list[Pair]] = {}
    for one, other in combinations_with_replacement(keys, 2):
        known = first_with[one]
        pairs = [(known[key], position) for position, key in enumerate(keys[other]) if key in known]
        found[one, other] = [pair for pair in pairs if one != other or pair[0] != pair[1]]
    return found


def average_hashes(images: Tensor) -> list[bytes]:
    """Return the average hash of each image, uint8 `[N, C, H, W]`: which of 8x8 pixels are brighter than their mean."""
    found = []
    for part in images.split(CHUNK):
        small = F.adaptive_avg_pool2d(part.float().mean(1), HASH_SIDE).flatten(1)  # [N, 64]
        found.append(np.packbits((small > small.mean(1, keepdim=True)).numpy(), axis=1))
    return [row.tobytes() for row in np.concatenate(found)]


def near(first: Tensor, second: Tensor, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs whose images differ little when both are small, uint8 `[N, C, H, W]` each."""
    found: list[Pair] = []
    for part in torch.tensor(pairs, dtype=torch.int64).view(-1, 2).split(CHUNK):
        small = [
            F.adaptive_avg_pool2d(x[index].float(), SIDE) for x, index in zip((first, second), part.T, strict=True)
        ]
        difference = (small[0] - small[1]).abs().flatten(1).mean(1)
        found += [(one, two) for one, two in part[difference < NEAR].tolist()]
    return found
