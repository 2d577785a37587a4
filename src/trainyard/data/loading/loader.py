"""Batches on the training device: which examples each contains, and loaders that read them.

The composition of a batch and its random numbers are pure functions of (seed, epoch, batch). Batches from tensors on
the device and from worker processes are equal.
"""

import gc
import math
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from inspect import signature

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from trainyard.data.loading.spec import Examples
from trainyard.io.resources import available_cores

PREFETCHED_BATCHES = 8  # batches gathered by one indexing operation, whose overhead exceeds the cost of a small batch

Batch = tuple[Tensor, Tensor]
Augment = Callable[..., Batch]  # of inputs, labels and the generator of the batch; optionally `alternating`


def derive_generator(*key: int) -> torch.Generator:
    """Return a CPU generator that depends only on `key`, such as (seed, epoch, batch)."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]  # nearby keys give unrelated streams
    return torch.Generator().manual_seed(int(state))


@dataclass(eq=False)
class ResumableBatchSampler:
    """Yields the positions of the examples of each batch. Lightning calls `set_epoch`.

    Each process takes its share of every global batch; together they use each example once. When shuffling, a last
    batch too small for every process is dropped.
    """

    size: int  # number of examples
    batch_size: int  # per process; the last batch may be smaller
    _: KW_ONLY
    seed: int = 0
    shuffle: bool = False
    weights: Tensor | None = None  # float [N]: an epoch consists of `size` draws with replacement in these proportions
    rank: int = 0
    world_size: int = 1
    epoch: int = 0
    start: int = 0  # first batch of the next iteration, to resume inside an epoch

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

    def alternating(self) -> Tensor:
        """Return a mask of `positions`, bool `[N]`, whose value for an example changes from epoch to epoch."""
        first = torch.randint(2, (self.size,), generator=derive_generator(self.seed, 0, 0, 0, 1))  # unlike any batch's
        return ((first + self.epoch) % 2 == 1)[self.positions()]

    def batch_generator(self, batch: int) -> torch.Generator:
        """Return the generator for all random numbers of a batch of this epoch on this process."""
        return derive_generator(self.seed, self.epoch, batch, self.rank)


@dataclass(eq=False)
class Loader(ABC):
    """Iterates over `(x, y)` batches on a device; its state is the position in the epoch."""

    examples: Examples
    sampler: ResumableBatchSampler
    device: torch.device
    augment: Augment | None = None
    batch_sampler: None = field(default=None, init=False)  # Lightning expects both attributes of a DataLoader
    start: int = field(default=0, init=False)  # first batch of the next iteration
    next_batch: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        start, self.start = self.start, 0
        self.sampler.start = start
        augment, sampler = self.augment, self.sampler
        alternates = augment and "alternating" in signature(augment).parameters
        masks = sampler.alternating().split(sampler.batch_size) if alternates else None
        for batch, (x, y) in enumerate(self.load_batches(), start):
            self.next_batch = batch + 1
            if augment is not None:
                options = {"alternating": masks[batch]} if masks else {}
                x, y = augment(x, y, sampler.batch_generator(batch), **options)
            yield x, y

    @abstractmethod
    def load_batches(self) -> Iterator[Batch]:
        """Yield the batches of an epoch without augmentation, beginning at `sampler.start`."""

    def state_dict(self) -> dict[str, int]:
        """Return the position in the epoch; Lightning stores it in checkpoints."""
        return {"place": self.next_batch}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Resume after the stored position; at the end of an epoch, with the next one."""
        self.start = state_dict["place"] % len(self)


class ResidentLoader(Loader):
    """Serves tensors that are already on the device."""

    def load_batches(self) -> Iterator[Batch]:
        """Yield the batches of an epoch without augmentation, beginning at `sampler.start`."""
        x, y = self.examples.x, self.examples.y
        assert isinstance(x, Tensor)
        positions, size, start = self.sampler.positions().to(self.device), self.sampler.batch_size, self.sampler.start
        for batch in range(start, len(self)):
            offset = (batch - start) % PREFETCHED_BATCHES * size
            if offset == 0:
                index = positions[batch * size : (batch + PREFETCHED_BATCHES) * size]
                some_x, some_y = x.index_select(0, index), y.index_select(0, index)
            yield some_x[offset : offset + size], some_y[offset : offset + size]


@dataclass(eq=False)
class StreamingLoader(Loader):
    """Reads batches in `num_workers` processes (0: in this one) and copies them to the device."""

    num_workers: int = 0

    def __post_init__(self) -> None:
        self.batches: DataLoader[Batch] = DataLoader(
            self.examples,  # type: ignore[arg-type]  # it has `__getitems__`
            batch_sampler=self.sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=tuple,  # `__getitems__` returns whole batches
            pin_memory=self.device.type == "cuda",
            worker_init_fn=prepare_worker,
            generator=derive_generator(0),  # so that the run's own generator does not change
        )

    def load_batches(self) -> Iterator[Batch]:
        """Yield the batches of an epoch without augmentation, beginning at `sampler.start`."""
        for x, y in self.batches:
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def close(self) -> None:
        """End worker processes; another iteration starts new ones."""
        self.__post_init__()  # without references, the DataLoader ends its workers


def prepare_worker(worker: int) -> None:
    """Ignore signals to the process group, such as Ctrl-C: the trainer still needs batches, then ends the workers.

    The garbage collector skips inherited objects, of which it would make a copy: a megabyte for 1,000 files.
    """
    gc.freeze()
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # not on Windows
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@dataclass
class DevicePlacement:
    """Decides whether examples stay in the memory of the training device or are read batch by batch."""

    resident: str | bool
    limit: float  # GiB
    num_workers: int | None

    @property
    def workers(self) -> int:
        """The number of processes that read."""
        return available_cores() if self.num_workers is None else self.num_workers

    def fits(self, count: int, shape: Sequence[int], item_size: int = 1) -> bool:
        """Whether `count` inputs of a shape, with `item_size` bytes per number, stay on the device."""
        size = count * math.prod(shape) * item_size
        return self.resident if isinstance(self.resident, bool) else size <= self.limit * 2**30

    def loader(
        self, part: Examples, sampler: ResumableBatchSampler, device: torch.device, augment: Augment | None = None
    ) -> Loader:
        """Return the suitable loader."""
        if isinstance(part.x, Tensor) and self.fits(len(part), part.shape, part.x.element_size()):
            return ResidentLoader(Examples(part.x.to(device), part.y.to(device)), sampler, device, augment)
        return StreamingLoader(part, sampler, device, augment, self.workers)
