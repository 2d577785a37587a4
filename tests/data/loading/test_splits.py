"""Splits are disjoint, complete and stratified, and depend on the seed only."""

from typing import Any

import pytest
import torch

from trainyard.data.loading.spec import Examples
from trainyard.data.loading.splits import SplitPlan, stratified_split
from trainyard.io.errors import ConfigError

LABELS = torch.tensor([0] * 100 + [1] * 60 + [2] * 7)
FRACTIONS = {"val": 0.15, "test": 0.2}


def test_parts_are_disjoint_and_complete() -> None:
    parts = stratified_split(LABELS, FRACTIONS, seed=0)
    assert list(parts) == ["train", "val", "test"]
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(167))


def test_parts_are_stratified() -> None:
    parts = stratified_split(LABELS, FRACTIONS, seed=0)
    counts = {name: LABELS[index].bincount().tolist() for name, index in parts.items()}
    assert counts == {"train": [65, 39, 5], "val": [15, 9, 1], "test": [20, 12, 1]}


def test_splits_depend_on_the_seed_only() -> None:
    torch.manual_seed(1)
    first = stratified_split(LABELS, FRACTIONS, seed=3)
    torch.manual_seed(2)
    again, other = stratified_split(LABELS, FRACTIONS, seed=3), stratified_split(LABELS, FRACTIONS, seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["test"], other["test"])


def plan(**options: Any) -> SplitPlan:
    defaults = {"val_fraction": 0.15, "test_fraction": 0.2, "train_fraction": 1.0, "folds": 5, "fold": None, "seed": 0}
    return SplitPlan(**{**defaults, **options})


def divided(labels: torch.Tensor = LABELS, **options: Any) -> dict[str, set[int]]:
    """Return the positions in each part."""
    count = len(labels)
    parts = plan(**options).divide({"train": Examples(torch.zeros(count, 1), labels, torch.arange(count))})
    return {name: set(part.ids.tolist()) for name, part in parts.items()}


def test_a_smaller_train_fraction_is_a_subset() -> None:
    whole = divided()
    before: set[int] = set()
    for fraction in (0.01, 0.1, 0.25, 0.5, 0.8, 0.99):
        parts = divided(train_fraction=fraction)
        assert parts["val"] == whole["val"]
        assert parts["test"] == whole["test"]
        assert before <= parts["train"] <= whole["train"]
        before = parts["train"]
        counts = LABELS[sorted(parts["train"])].bincount().tolist()
        assert counts == pytest.approx([max(1, 65 * fraction), max(1, 39 * fraction), max(1, 5 * fraction)], abs=0.51)


@pytest.mark.parametrize("train_fraction", [1.0, 0.3])
def test_folds_are_disjoint_stratified_and_complete(train_fraction: float) -> None:
    parts = [divided(fold=fold, train_fraction=train_fraction) for fold in range(5)]
    pool = divided()["train"] | divided()["val"]
    assert {frozenset(part["test"]) for part in parts} == {frozenset(divided()["test"])}
    assert sorted(position for part in parts for position in part["val"]) == sorted(pool), (
        "each example is in one validation set"
    )
    for part in parts:
        assert LABELS[sorted(part["val"])].bincount().tolist() == pytest.approx([16, 9.6, 1.2], abs=0.81)
        assert not part["train"] & (part["val"] | part["test"])
        assert part["train"] <= pool - part["val"]
        assert (part["train"] == pool - part["val"]) == (train_fraction == 1)


def test_folds_of_many_small_classes_have_equal_sizes() -> None:
    sizes = [len(divided(torch.arange(60) // 3, fold=fold, test_fraction=0.1)["val"]) for fold in range(5)]
    assert sum(sizes) == 40
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fold": 5}, r"data\.fold=5: with data\.folds=5\n  accepted: 0 to 4, or null"),
        ({"fold": -1}, r"data\.fold=-1: "),
        ({"fold": 3, "folds": 3}, r"data\.fold=3: .*\n  accepted: 0 to 2"),
        ({"val_fraction": 0.8}, r"data\.val_fraction=0\.8: with data\.test_fraction=0\.2\n  accepted: below 0\.8"),
        ({"fold": 0, "folds": 500}, r"data\.folds=500: .*\n  accepted: 2 to 134"),
    ],
)
def test_invalid_split_options_are_rejected(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        divided(**options)


def test_splits_of_the_source_are_used() -> None:
    def part(first: int, count: int) -> Examples:
        return Examples(torch.zeros(count, 1), torch.arange(count) % 2, torch.arange(first, first + count))

    official = {"train": part(0, 60), "test": part(100, 20)}
    for options in ({}, {"fold": 2}, {"train_fraction": 0.5}, {"test_fraction": 0.7}):
        parts = plan(**options).divide(official)
        assert parts["test"] is official["test"]
        assert set(parts["train"].ids.tolist() + parts["val"].ids.tolist()) <= set(range(60))
    assert len(plan(test_fraction=0.7).divide(official)["val"]) == 8, "15 % of train"
    parts = plan().divide({**official, "val": part(200, 10)})
    assert [len(parts[name]) for name in ("train", "val", "test")] == [60, 10, 20]
    with pytest.raises(ConfigError, match=r"data\.fold=0: the data has a validation split of its own\n.*null"):
        plan(fold=0).divide({**official, "val": part(200, 10)})


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, {"train": 1, "val": 0, "test": 0}),
        (2, {"train": 1, "val": 1, "test": 0}),
        (3, {"train": 1, "val": 1, "test": 1}),
    ],
)
def test_small_classes_are_used_for_training_first(count: int, sizes: dict[str, int]) -> None:
    labels = torch.cat([torch.zeros(40, dtype=torch.int64), torch.ones(count, dtype=torch.int64)])
    parts = stratified_split(labels, {"val": 0.15, "test": 0.15}, seed=0)
    assert {name: int((labels[index] == 1).sum()) for name, index in parts.items()} == sizes
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(40 + count))
