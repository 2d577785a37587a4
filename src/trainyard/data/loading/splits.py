"""Stratified splits and folds: each part has the same proportions of the classes, numbers or labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.target import strata
from trainyard.io.errors import ConfigError, config_error


def stratified_split(labels: Tensor, fractions: Mapping[str, float], seed: int, least: int = 1) -> dict[str, Tensor]:
    """Split the positions of labels `[N]` into named parts, class by class; `train` comes first and gets the rest.

    Args:
        labels: int64 `[N]`.
        fractions: of the other parts. The first part with a larger fraction contains the one with a smaller fraction.
        seed: the split is a pure function of it.
        least: minimum of each class in each part, as long as one example is left for training.
    """
    generator = derive_generator(seed)
    parts: dict[str, list[Tensor]] = {"train": [], **{name: [] for name in fractions}}
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        start = 0
        for name, fraction in fractions.items():
            count = max(least, round(fraction * len(members))) if fraction > 0 else 0
            size = min(count, len(members) - start - 1)
            parts[name].append(members[start : start + size])
            start += size
        parts["train"].append(members[start:])
    return {name: torch.cat(pieces).sort().values for name, pieces in parts.items()}


def stratified_folds(labels: Tensor, folds: int, seed: int) -> Tensor:
    """Return the fold of each example, int64 `[N]` from 0 to `folds - 1`, a pure function of the seed.

    The sizes of the folds, and of each class in them, differ by at most one example.
    """
    generator = derive_generator(seed)
    fold = torch.empty_like(labels)
    assigned = 0
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        fold[members[order]] = (torch.arange(len(members)) + assigned) % folds  # continues at the next fold
        assigned += len(members)
    return fold


@dataclass(frozen=True)
class SplitPlan:
    """Divides examples into `train`, `val` and `test`; for the arguments see `DataModule`."""

    val_fraction: float
    test_fraction: float
    train_fraction: float
    folds: int
    fold: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.fold is not None and not 0 <= self.fold < self.folds:
            accepted = f"0 to {self.folds - 1}, or null"
            raise config_error("data.fold", self.fold, f"with data.folds={self.folds}", accepted)

    def divide(self, parts: Mapping[str, Examples]) -> dict[str, Examples]:
        """Return `train`, `val` and `test`; splits that the source does not provide are taken from its `train`.

        The test examples depend neither on the fold nor on `train_fraction`.
        """
        if self.fold is not None and "val" in parts:
            problem = "the data has a validation split of its own"
            raise config_error("data.fold", self.fold, problem, "null, or data without a validation split")
        labels = strata(parts["train"].y)
        fractions = {"val": self.val_fraction, "test": self.test_fraction}
        missing = {name: fraction for name, fraction in fractions.items() if name not in parts}
        if sum(missing.values()) >= 1:
            accepted = f"below {1 - self.test_fraction:g}, so that examples are left for training"
            problem = f"with data.test_fraction={self.test_fraction:g}"
            raise config_error("data.val_fraction", self.val_fraction, problem, accepted)
        positions = stratified_split(labels, missing, self.seed)
        if self.fold is not None:
            pool = torch.cat([positions["train"], positions["val"]]).sort().values
            if self.folds > len(pool):
                raise config_error("data.folds", self.folds, "more folds than examples", f"2 to {len(pool)}")
            validated = stratified_folds(labels[pool], self.folds, self.seed) == self.fold
            positions |= {"train": pool[~validated], "val": pool[validated]}
        if self.train_fraction < 1:
            dropped = {"dropped": 1 - self.train_fraction}
            remaining = stratified_split(labels[positions["train"]], dropped, self.seed, least=0)["train"]
            positions["train"] = positions["train"][remaining]
        divided = {name: parts["train"].subset(index) for name, index in positions.items()}
        return {name: {**parts, **divided}[name] for name in ("train", "val", "test")}


def check_splits_not_empty(parts: Mapping[str, Examples]) -> None:
    """Raise a ConfigError if a split has no examples."""
    if empty := [name for name, part in parts.items() if not len(part)]:
        counts = " / ".join(str(len(part)) for part in parts.values())
        accepted = "data with three examples or more of each class"
        raise ConfigError(f"data: no example is left for {' and '.join(empty)} ({counts})\n  accepted: {accepted}")
