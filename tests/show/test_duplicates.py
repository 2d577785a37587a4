"""What lies twice in the data is found, within a split and across."""

import torch

from trainyard.data.loading.sampler import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.show.duplicates import Duplicates, duplicates_of, pairs_of


def pictures(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures, uint8 `[N, 3, 32, 32]`, that look different."""
    coarse = torch.rand(count, 3, 4, 4, generator=derive_generator(seed))
    return (torch.nn.functional.interpolate(coarse, 32, mode="bilinear") * 255).round().to(torch.uint8)


def found_in(train: torch.Tensor, test: torch.Tensor, test_labels: torch.Tensor) -> Duplicates:
    train_part = Examples(train, torch.zeros(len(train), dtype=torch.int64))
    return duplicates_of({"train": train_part, "test": Examples(test, test_labels)})


def test_exact_copies_are_pairs_of_positions() -> None:
    train, test = pictures(6, 0), pictures(4, 1)
    train[5], test[2] = train[1], train[3]
    found = found_in(train, test, torch.tensor([0, 0, 1, 0]))
    assert found.exact == {("train", "train"): [(1, 5)], ("train", "test"): [(3, 2)], ("test", "test"): []}
    assert found.contradictions == 1, "the copy in test is of class 1"
    assert found.alike == {("train", "train"): [], ("train", "test"): [], ("test", "test"): []}


def test_what_differs_a_little_is_alike_and_what_differs_much_is_not() -> None:
    train, test = pictures(6, 0), pictures(4, 1)
    test[1] = (train[4].int() + 5).clamp(0, 255).to(torch.uint8)
    test[3] = (train[2].float() * 0.5).to(torch.uint8)  # half as bright: the same hash, another picture
    found = found_in(train, test, torch.zeros(4, dtype=torch.int64))
    assert found.alike is not None
    assert found.alike["train", "test"] == [(4, 1)]
    assert found.exact["train", "test"] == []


def test_rows_are_compared_whole_missing_values_too() -> None:
    rows = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [1.0, float("nan")]])
    found = found_in(rows, rows[1:], torch.zeros(2, dtype=torch.int64))
    assert found.exact == {("train", "train"): [(0, 2)], ("train", "test"): [(1, 0), (0, 1)], ("test", "test"): []}
    assert found.alike is None


def test_three_of_a_kind_are_two_pairs() -> None:
    assert pairs_of({"train": "abaa"}) == {("train", "train"): [(0, 2), (0, 3)]}
