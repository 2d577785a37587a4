"""The composition of each batch and its random numbers: pure functions of (seed, epoch, batch)."""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np
import torch
from torch import Tensor


def derive_generator(*key: int) -> torch.Generator:
    """Return a CPU generator that depends only on `key`, such as (seed, epoch, batch).

    NumPy's SeedSequence mixes the numbers, so that nearby keys give unrelated streams.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state))


@dataclass(eq=False)
class ResumableBatchSampler:
    """Yields the positions of the examples of each batch. Lightning calls `set_epoch`.

    Attributes:
        size: number of examples.
        batch_size: examples per batch of this process; the last batch may be smaller.
        seed: of the order.
        shuffle: whether each epoch has a new order.
        weights: float `[N]`; if given, an epoch consists of `size` draws with replacement in these proportions.
        rank, world_size: each process takes its share of every global batch; together they see each example once. When
            shuffling, a last batch too small for every process is dropped.
        start: the batch at which the next iteration begins, to resume inside an epoch.
    """

    size: int
    batch_size: int
    _: KW_ONLY
    seed: int = 0
    shuffle: bool = False
    weights: Tensor | None = None
    rank: int = 0
    world_size: int = 1
    epoch: int = 0
    start: int = 0

    @property
    def global_batch(self) -> int:
        """Examples per batch of all processes."""
        return self.batch_size * self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0, whose order the next iteration uses."""
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
        generator = derive_generator(self.seed, self.epoch)
        if not self.shuffle:
            order = torch.arange(self.size)
        elif self.weights is None:
            order = torch.randperm(self.size, generator=generator)
        else:
            order = torch.multinomial(self.weights, self.size, replacement=True, generator=generator)
        return order[self.rank :: self.world_size][: len(self) * self.batch_size]  # the processes take turns

    def batch_generator(self, batch: int) -> torch.Generator:
        """Return the generator for all random numbers of a batch of this epoch on this process."""
        return derive_generator(self.seed, self.epoch, batch, self.rank)
