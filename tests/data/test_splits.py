"""Splits are disjoint, cover everything, keep each class's share, and depend on the seed alone."""

import pytest
import torch

from trainyard.data.splits import stratified_split

LABELS = torch.tensor([0] * 100 + [1] * 60 + [2] * 7)
FRACTIONS = {"val": 0.15, "test": 0.2}


def test_parts_are_disjoint_and_cover() -> None:
    parts = stratified_split(LABELS, FRACTIONS, seed=0)
    assert list(parts) == ["train", "val", "test"]
    assert torch.cat(list(parts.values())).sort().values.tolist() == list(range(167))


def test_each_class_keeps_its_share() -> None:
    parts = stratified_split(LABELS, FRACTIONS, seed=0)
    counts = {name: LABELS[index].bincount().tolist() for name, index in parts.items()}
    assert counts == {"train": [65, 39, 5], "val": [15, 9, 1], "test": [20, 12, 1]}


def test_the_seed_alone_decides() -> None:
    torch.manual_seed(1)
    first = stratified_split(LABELS, FRACTIONS, seed=3)
    torch.manual_seed(2)
    again, other = stratified_split(LABELS, FRACTIONS, seed=3), stratified_split(LABELS, FRACTIONS, seed=4)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["test"], other["test"])


@pytest.mark.parametrize("members", [1, 2, 3])
def test_a_tiny_class_trains_first(members: int) -> None:
    labels = torch.tensor([0] * 50 + [1] * members)
    parts = stratified_split(labels, FRACTIONS, seed=0)
    counts = [int((labels[index] == 1).sum()) for index in parts.values()]
    assert sum(counts) == members
    assert counts[0] >= 1
