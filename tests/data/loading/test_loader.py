"""Batches: each example once, in an order that only (seed, epoch) decides, however they are loaded."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest
import torch

from trainyard.data.loading.loader import Loader, ResidentLoader, StreamingLoader
from trainyard.data.loading.sampler import ResumableBatchSampler
from trainyard.data.loading.spec import Examples

EXAMPLES = Examples(torch.arange(103, dtype=torch.float32)[:, None], torch.arange(103))
CPU = torch.device("cpu")


def resident(batch_size: int, size: int = 103, augment: Any = None, **order: Any) -> Loader:
    examples = Examples(EXAMPLES.x[:size], EXAMPLES.y[:size])
    return ResidentLoader(examples, ResumableBatchSampler(size, batch_size, **order), CPU, augment)


def flat(lists: Iterable[list]) -> list:
    return list(chain.from_iterable(lists))


def seen(loader: Loader, epoch: int = 0) -> list[list[int]]:
    loader.sampler.set_epoch(epoch)
    return [y.tolist() for _, y in loader]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 10, 103])
def test_each_example_once_an_epoch(shuffle: bool, batch_size: int) -> None:
    loader = resident(batch_size, shuffle=shuffle)
    batches = seen(loader)
    assert len(batches) == len(loader)
    assert sorted(flat(batches)) == list(range(103))
    assert (flat(batches) == list(range(103))) is not shuffle


def test_inputs_and_labels_stay_together() -> None:
    for x, y in resident(10, shuffle=True):
        assert torch.equal(x.flatten().long(), y)


def test_order_is_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(5)
    first = resident(10, seed=1, shuffle=True)
    later = resident(10, seed=1, shuffle=True)
    epochs = [seen(first, epoch) for epoch in range(3)]
    assert seen(later, 2) == epochs[2], "an epoch can be picked up without the ones before"
    assert epochs[0] != epochs[1]
    assert seen(resident(10, seed=2, shuffle=True)) != epochs[0]


@pytest.mark.parametrize("size", [103, 101, 96, 97])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_partition_the_same_global_batches(size: int, shuffle: bool) -> None:
    ranks = [resident(8, size, shuffle=shuffle, rank=rank, world_size=4) for rank in range(4)]
    alone = seen(resident(32, size, shuffle=shuffle))
    parts = [seen(loader) for loader in ranks]
    assert len({len(part) for part in parts}) == 1, "all processes make as many steps"
    for number, pieces in enumerate(zip(*parts, strict=True)):
        assert sorted(flat(pieces)) == sorted(alone[number])
    if not shuffle:
        assert sorted(flat(flat(parts))) == list(range(size)), "validation counts each example once"
    else:
        assert all(batch for part in parts for batch in part), "no process trains on nothing"


def noise(x: torch.Tensor, y: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return x + torch.rand(x.shape, generator=draws), y


def test_draws_of_the_augmentation_are_a_function_of_seed_epoch_and_batch() -> None:
    def drawn(epoch: int) -> list[torch.Tensor]:
        loader = resident(10, augment=noise, seed=3)
        loader.sampler.set_epoch(epoch)
        return [x for x, _ in loader]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0] % 1, first[1] % 1)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_streamed_batches_are_the_resident_ones(num_workers: int) -> None:
    weights = torch.rand(103, generator=torch.Generator().manual_seed(0))
    for options in ({}, {"rank": 1, "world_size": 2}, {"weights": weights}):
        order = {"seed": 4, "shuffle": True, **options}
        streaming = StreamingLoader(EXAMPLES, ResumableBatchSampler(103, 10, **order), CPU, noise, num_workers)
        kept = resident(10, augment=noise, **order)
        torch.manual_seed(0)
        before = torch.get_rng_state()
        for epoch in (0, 1):
            streaming.sampler.set_epoch(epoch)
            kept.sampler.set_epoch(epoch)
            for (x, y), (x_kept, y_kept) in zip(streaming, kept, strict=True):
                assert torch.equal(x, x_kept)
                assert torch.equal(y, y_kept)
        assert torch.equal(torch.get_rng_state(), before), "loading draws nothing from the run's generator"


def test_weights_draw_in_their_proportions_a_new_set_each_epoch() -> None:
    weights = torch.ones(103)
    weights[:3] = 50.0
    loader = resident(10, shuffle=True, weights=weights)
    first, second = flat(seen(loader, 0)), flat(seen(loader, 1))
    assert len(first) == 103
    assert 45 < sum(label < 3 for label in first) < 78, "150 of 250 parts"
    assert first != second
    assert flat(seen(loader, 0)) == first
