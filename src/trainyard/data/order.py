"""Which examples make up each batch of an epoch: a pure function of (seed, epoch), whatever loads them."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from trainyard.data.draws import generator


class BatchOrder:
    """The batches of an epoch, each the positions of its examples. Lightning calls `set_epoch`.

    Attributes:
        start: the batch that the next look at an epoch begins with, as in one that was stopped in its middle.

    Args:
        size: number of examples.
        batch_size: examples in a batch of this process; the last batch may be smaller.
        seed: of the order.
        shuffle: a new order each epoch; otherwise that of the examples.
        weights: float `[N]`; then an epoch is `size` draws with replacement in these proportions.
        rank, world_size: of several processes, each takes its share of every global batch: together they see each
            example once. When shuffling, a last batch too small to give every process an example is left out.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = False,
        weights: Tensor | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.global_batch = batch_size * world_size
        self.seed = seed
        self.shuffle = shuffle
        self.weights = weights
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; epochs count from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.shuffle and self.size % self.global_batch < self.world_size:
            return self.size // self.global_batch
        return math.ceil(self.size / self.global_batch)

    def __iter__(self) -> Iterator[list[int]]:
        positions = self.positions().tolist()
        batches = range(self.start, len(self))
        return (positions[batch * self.batch_size : (batch + 1) * self.batch_size] for batch in batches)

    def positions(self) -> Tensor:
        """Return the positions of this process's examples in this epoch, batch after batch, int64 `[N]`."""
        return self.all_positions()[self.rank :: self.world_size][: len(self) * self.batch_size]

    def all_positions(self) -> Tensor:
        """Return the positions that all processes share, of which each takes its turn, int64 `[N]`."""
        if not self.shuffle:
            return torch.arange(self.size)
        draws = generator(self.seed, self.epoch)
        if self.weights is not None:
            return torch.multinomial(self.weights, self.size, replacement=True, generator=draws)
        return torch.randperm(self.size, generator=draws)

    def draws(self, batch: int) -> torch.Generator:
        """Return the generator of all that is random in a batch of this epoch on this process."""
        return generator(self.seed, self.epoch, batch, self.rank)
