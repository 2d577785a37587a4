"""Batches of examples that already lie on the training device: one indexing operation each."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from trainyard.data.draws import generator
from trainyard.data.spec import Examples

Augment = Callable[[Tensor, torch.Generator], Tensor]


class EpochOrder:
    """The order of the examples in an epoch, a pure function of (seed, epoch). Lightning calls `set_epoch`."""

    def __init__(self, size: int, seed: int, shuffle: bool) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; epochs count from 0."""
        self.epoch = epoch

    def positions(self) -> Tensor:
        """Return the N positions of this epoch, int64 `[N]`."""
        if not self.shuffle:
            return torch.arange(self.size)
        return torch.randperm(self.size, generator=generator(self.seed, self.epoch))


class ResidentLoader:
    """Iterates over `(x, y)` batches of resident examples.

    Args:
        examples: tensors on the device that trains.
        batch_size: examples in a batch of this process; the last batch may be smaller.
        shuffle: a new order each epoch, from `seed`; otherwise the order is that of the examples.
        augment: called with the batch and a generator keyed by (seed, epoch, batch, rank).
        rank, world_size: of several processes, each takes its share of every global batch: together they see each
            example once. When shuffling, a last batch too small to give every process an example is left out.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        augment: Augment | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.examples = examples
        self.global_batch = batch_size * world_size
        self.sampler = EpochOrder(len(examples), seed, shuffle)
        self.batch_sampler = None  # Lightning looks for both, as a DataLoader has them
        self.augment = augment
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        size = len(self.examples)
        if self.sampler.shuffle and size % self.global_batch < self.world_size:
            return size // self.global_batch
        return math.ceil(size / self.global_batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = self.examples.x, self.examples.y
        order = self.sampler.positions().to(y.device)
        for batch in range(len(self)):
            start = batch * self.global_batch + self.rank
            index = order[start : (batch + 1) * self.global_batch : self.world_size]
            images = x.index_select(0, index)
            if self.augment is not None:
                draws = generator(self.sampler.seed, self.sampler.epoch, batch, self.rank)
                images = self.augment(images, draws)
            yield images, y.index_select(0, index)
