"""Stratified splits: every class keeps its share in each part."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainyard.data.draws import generator


def stratified_split(labels: Tensor, fractions: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    """Split the positions 0..N-1 into named parts, class by class; what the fractions leave over is `train`.

    Args:
        labels: int64 `[N]`.
        fractions: the share of each part beside `train`; together below 1. Each part gets at least one example of a
            class, as long as one is left for training.
        seed: the split is a pure function of it.

    Returns:
        Sorted positions of each part, `train` first; the parts are disjoint and cover everything.
    """
    draws = generator(seed)
    parts: dict[str, list[Tensor]] = {"train": [], **{name: [] for name in fractions}}
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=draws)]
        start = 0
        for name, fraction in fractions.items():
            wanted = max(1, round(fraction * len(members))) if fraction > 0 else 0
            size = min(wanted, len(members) - start - 1)
            parts[name].append(members[start : start + size])
            start += size
        parts["train"].append(members[start:])
    return {name: torch.cat(pieces).sort().values for name, pieces in parts.items()}
