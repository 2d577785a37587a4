"""Batches: the order depends on seed and epoch only, and resident and streamed batches are equal."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pytest
import torch

from tests.conftest import Compose
from trainyard.config.composition import instantiate
from trainyard.data.loading.loader import Loader, ResidentLoader, ResumableBatchSampler, StreamingLoader
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.target import Classes
from trainyard.data.loading.target_statistics import sampling_weights

EXAMPLES = Examples(torch.arange(103, dtype=torch.float32)[:, None], torch.arange(103))
CPU = torch.device("cpu")


def resident(batch_size: int, size: int = 103, augment: Any = None, **order: Any) -> Loader:
    examples = Examples(EXAMPLES.x[:size], EXAMPLES.y[:size])
    return ResidentLoader(examples, ResumableBatchSampler(size, batch_size, **order), CPU, augment)


def flat(lists: Iterable[list]) -> list:
    return list(chain.from_iterable(lists))


def load_labels(loader: Loader, epoch: int = 0) -> list[list[int]]:
    loader.sampler.set_epoch(epoch)
    return [y.tolist() for _, y in loader]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 10, 103])
def test_each_epoch_has_each_example_once(shuffle: bool, batch_size: int) -> None:
    loader = resident(batch_size, shuffle=shuffle)
    batches = load_labels(loader)
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
    epochs = [load_labels(first, epoch) for epoch in range(3)]
    assert load_labels(later, 2) == epochs[2], "it does not depend on earlier epochs"
    assert epochs[0] != epochs[1]
    assert load_labels(resident(10, seed=2, shuffle=True)) != epochs[0]


@pytest.mark.parametrize("size", [103, 101, 96, 97])
@pytest.mark.parametrize("shuffle", [True, False])
def test_processes_partition_the_same_global_batches(size: int, shuffle: bool) -> None:
    ranks = [resident(8, size, shuffle=shuffle, rank=rank, world_size=4) for rank in range(4)]
    alone = load_labels(resident(32, size, shuffle=shuffle))
    parts = [load_labels(loader) for loader in ranks]
    assert len({len(part) for part in parts}) == 1, "all processes have the same number of steps"
    for number, pieces in enumerate(zip(*parts, strict=True)):
        assert sorted(flat(pieces)) == sorted(alone[number])
    if not shuffle:
        assert sorted(flat(flat(parts))) == list(range(size)), "validation counts each example once"
    else:
        assert all(batch for part in parts for batch in part), "no batch is empty"


def noise(x: torch.Tensor, y: torch.Tensor, draws: torch.Generator, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return x + torch.rand(x.shape, generator=draws), y


def test_augmentation_is_a_function_of_seed_epoch_and_batch() -> None:
    def drawn(epoch: int) -> list[torch.Tensor]:
        loader = resident(10, augment=noise, seed=3)
        loader.sampler.set_epoch(epoch)
        return [x for x, _ in loader]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0] % 1, first[1] % 1)


def negate(
    x: torch.Tensor, y: torch.Tensor, draws: Any, alternating: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.where(alternating[:, None], -x, x), y


def test_the_mask_of_every_example_alternates_from_epoch_to_epoch() -> None:
    def signs(epoch: int, start: int = 0, **order: Any) -> dict[int, bool]:
        loader = resident(10, augment=negate, shuffle=True, **order)
        loader.sampler.set_epoch(epoch)
        loader.start = start
        x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
        return dict(zip(y.flatten().tolist(), (x.flatten() < 0).tolist(), strict=True))

    first, second = signs(0), signs(1)
    assert all(first[label] != second[label] for label in first if label), "the input of example 0 is 0"
    assert 30 < sum(first.values()) < 75
    assert signs(2) == first
    resumed = signs(1, start=4)
    assert len(resumed) == 103 - 40
    assert resumed.items() <= second.items()
    assert signs(0, seed=1) != first
    halves = [signs(1, rank=rank, world_size=2) for rank in (0, 1)]
    assert halves[0] | halves[1] == second, "it is the same on any number of processes"


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


def test_weights_are_the_proportions_of_the_draws() -> None:
    weights = torch.ones(103)
    weights[:3] = 50.0
    loader = resident(10, shuffle=True, weights=weights)
    first, second = flat(load_labels(loader, 0)), flat(load_labels(loader, 1))
    assert len(first) == 103
    assert 45 < sum(label < 3 for label in first) < 78, "150 of 250 parts"
    assert first != second
    assert flat(load_labels(loader, 0)) == first


BALANCE_LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def draw_batches(seed: int, epoch: int, size: int = 100, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    weights = sampling_weights(BALANCE_LABELS, Classes(("a", "b")))
    order = ResumableBatchSampler(size, 10, seed=seed, shuffle=True, weights=weights, rank=rank, world_size=world_size)
    order.set_epoch(epoch)
    return list(order)


def test_balanced_draws_each_class_equally_often() -> None:
    labels = torch.cat([BALANCE_LABELS[torch.tensor(batch)] for epoch in range(60) for batch in draw_batches(0, epoch)])
    assert len(labels) == 6000
    share = labels.bincount() / len(labels)
    assert share.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)  # three deviations of 6,000 draws
    members = torch.tensor([position for epoch in range(60) for batch in draw_batches(0, epoch) for position in batch])
    assert members.bincount(minlength=100).min() > 0, "every example is drawn some time"


def test_weighted_draws_are_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = draw_batches(3, 2)
    torch.manual_seed(2)
    assert draw_batches(3, 2) == first
    assert draw_batches(3, 1) != first
    assert draw_batches(4, 2) != first
    halves = [draw_batches(3, 2, rank=rank, world_size=2) for rank in (0, 1)]
    flat = [position for batch in first for position in batch]
    assert sorted(p for half in halves for batch in half for p in batch) == sorted(flat), "two processes draw the same"


@pytest.mark.parametrize("sampler", ["shuffle", "balanced"])
def test_the_sampler_option_is_used(compose_run: Compose, sampler: str) -> None:
    data = instantiate(compose_run("data=penguins", f"data.sampler={sampler}", "data.resident=true").data)
    data.trainer = FakeTrainer()
    labels = {name: torch.cat([y for _, y in data.loader(name)]) for name in ("train", "val", "test")}
    counts = torch.stack([labels["train"].bincount(), data.splits["train"].y.bincount()])
    assert torch.equal(counts[0], counts[1]) == (sampler == "shuffle")
    assert (counts[0].max() - counts[0].min() < 30) == (sampler == "balanced")  # of 240; the classes have 106, 48, 86
    for name in ("val", "test"):
        assert torch.equal(labels[name], data.splits[name].y), "the other splits keep their order"


class FakeTrainer:
    """The attributes of Lightning's trainer that a loader uses."""

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    global_rank, world_size = 0, 1
