"""Stratified splits and folds: every class keeps its share in each part."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainyard.data.draws import generator
from trainyard.data.spec import Examples
from trainyard.errors import ConfigError, reject


def stratified_split(labels: Tensor, fractions: Mapping[str, float], seed: int, least: int = 1) -> dict[str, Tensor]:
    """Split the positions 0..N-1 into named parts, class by class; what the fractions leave over is `train`.

    Args:
        labels: int64 `[N]`.
        fractions: the share of each part beside `train`; together below 1. A part of a larger fraction contains that
            of a smaller one, where it is the first.
        seed: the split is a pure function of it.
        least: examples of a class that each part gets whatever its fraction, as long as one is left for training.

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
            wanted = max(least, round(fraction * len(members))) if fraction > 0 else 0
            size = min(wanted, len(members) - start - 1)
            parts[name].append(members[start : start + size])
            start += size
        parts["train"].append(members[start:])
    return {name: torch.cat(pieces).sort().values for name, pieces in parts.items()}


def stratified_folds(labels: Tensor, folds: int, seed: int) -> Tensor:
    """Return the fold of each example, int64 `[N]` from 0 to `folds - 1`, a pure function of the seed.

    The members of each class are dealt out in turn, and a class goes on where the one before it stopped, so that
    neither the folds nor their shares of a class differ by more than one example.
    """
    draws = generator(seed)
    fold = torch.empty_like(labels)
    dealt = 0
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=draws)
        fold[members[order]] = (torch.arange(len(members)) + dealt) % folds
        dealt += len(members)
    return fold


@dataclass(frozen=True)
class SplitPlan:
    """How examples are divided into `train`, `val` and `test`; arguments as in `DataModule`.

    Raises:
        ConfigError: fractions that leave nothing to train on, or a fold that is none.
    """

    val_fraction: float
    test_fraction: float
    train_fraction: float
    folds: int
    fold: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.fold is not None and not 0 <= self.fold < self.folds:
            raise reject("data.fold", self.fold, f"with data.folds={self.folds}", f"0 to {self.folds - 1}, or null")

    def divide(self, parts: Mapping[str, Examples]) -> dict[str, Examples]:
        """Return `train`, `val` and `test`: what a source sets apart itself stays, the rest comes out of its `train`.

        The test examples are the same whatever the fold and the fraction of the training examples.
        """
        if self.fold is not None and "val" in parts:
            problem = "the data sets its validation examples apart itself"
            raise reject("data.fold", self.fold, problem, "null, or data without a split of its own")
        labels = parts["train"].y
        wanted = {"val": self.val_fraction, "test": self.test_fraction}
        missing = {name: fraction for name, fraction in wanted.items() if name not in parts}
        self.check_fractions(missing)
        positions = stratified_split(labels, missing, self.seed)
        if self.fold is not None:
            pool = torch.cat([positions["train"], positions["val"]]).sort().values
            if self.folds > len(pool):
                raise reject("data.folds", self.folds, "more than examples to validate on", f"2 to {len(pool)}")
            chosen = stratified_folds(labels[pool], self.folds, self.seed) == self.fold
            positions |= {"train": pool[~chosen], "val": pool[chosen]}
        if self.train_fraction < 1:
            dropped = {"dropped": 1 - self.train_fraction}
            kept = stratified_split(labels[positions["train"]], dropped, self.seed, least=0)["train"]
            positions["train"] = positions["train"][kept]
        whole = parts["train"]
        divided = {name: whole.subset(index) for name, index in positions.items()}
        return {name: {**parts, **divided}[name] for name in ("train", "val", "test")}

    def check_fractions(self, fractions: Mapping[str, float]) -> None:
        """Raise a ConfigError when nothing would be left to train on."""
        if sum(fractions.values()) >= 1:
            accepted = f"below {1 - self.test_fraction:g}, so that something is left to train on"
            problem = f"with data.test_fraction={self.test_fraction:g}"
            raise reject("data.val_fraction", self.val_fraction, problem, accepted)


def check_no_part_is_empty(parts: Mapping[str, Examples]) -> None:
    """Raise a ConfigError where a run would have nothing to choose its best epoch by, or to be tested on."""
    if empty := [name for name, part in parts.items() if not len(part)]:
        counts = " / ".join(str(len(part)) for part in parts.values())
        accepted = "data with three examples or more of each class"
        raise ConfigError(f"data: no example is left for {' and '.join(empty)} ({counts})\n  accepted: {accepted}")
