"""Batches: each example once, in an order that only (seed, epoch) decides, alone or on several processes."""

from collections.abc import Iterable
from itertools import chain

import pytest
import torch

from trainyard.data.loader import ResidentLoader
from trainyard.data.spec import Examples

EXAMPLES = Examples(torch.arange(103, dtype=torch.float32)[:, None], torch.arange(103))


def flat(lists: Iterable[list]) -> list:
    return list(chain.from_iterable(lists))


def seen(loader: ResidentLoader, epoch: int = 0) -> list[list[int]]:
    loader.sampler.set_epoch(epoch)
    return [y.tolist() for _, y in loader]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 10, 103])
def test_each_example_once_an_epoch(shuffle: bool, batch_size: int) -> None:
    loader = ResidentLoader(EXAMPLES, batch_size, shuffle=shuffle)
    batches = seen(loader)
    assert len(batches) == len(loader)
    assert sorted(flat(batches)) == list(range(103))
    assert (flat(batches) == list(range(103))) is not shuffle


def test_inputs_and_labels_stay_together() -> None:
    for x, y in ResidentLoader(EXAMPLES, 10, shuffle=True):
        assert torch.equal(x.flatten().long(), y)


def test_order_is_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(5)
    first = ResidentLoader(EXAMPLES, 10, seed=1, shuffle=True)
    later = ResidentLoader(EXAMPLES, 10, seed=1, shuffle=True)
    epochs = [seen(first, epoch) for epoch in range(3)]
    assert seen(later, 2) == epochs[2], "an epoch can be picked up without the ones before"
    assert epochs[0] != epochs[1]
    assert seen(ResidentLoader(EXAMPLES, 10, seed=2, shuffle=True)) != epochs[0]


@pytest.mark.parametrize("size", [103, 101, 96, 97])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_partition_the_same_global_batches(size: int, shuffle: bool) -> None:
    examples = Examples(EXAMPLES.x[:size], EXAMPLES.y[:size])
    ranks = [ResidentLoader(examples, 8, shuffle=shuffle, rank=rank, world_size=4) for rank in range(4)]
    alone = seen(ResidentLoader(examples, 32, shuffle=shuffle))
    parts = [seen(loader) for loader in ranks]
    assert len({len(part) for part in parts}) == 1, "all processes make as many steps"
    for number, pieces in enumerate(zip(*parts, strict=True)):
        assert sorted(flat(pieces)) == sorted(alone[number])
    if not shuffle:
        assert sorted(flat(flat(parts))) == list(range(size)), "validation counts each example once"
    else:
        assert all(batch for part in parts for batch in part), "no process trains on nothing"


def test_draws_of_the_augmentation_are_a_function_of_seed_epoch_and_batch() -> None:
    def noise(x: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        return torch.rand(x.shape, generator=draws)

    def drawn(epoch: int) -> list[torch.Tensor]:
        loader = ResidentLoader(EXAMPLES, 10, seed=3, augment=noise)
        loader.sampler.set_epoch(epoch)
        return [x for x, _ in loader]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[1])
