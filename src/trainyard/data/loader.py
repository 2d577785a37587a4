"""Batches on the training device: from tensors that lie there, or read by worker processes; the same either way."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from trainyard.data.draws import generator
from trainyard.data.order import BatchOrder
from trainyard.data.spec import Examples

GATHERED_AT_ONCE = 8  # batches: a small one takes longer to ask for than to gather

Batch = tuple[Tensor, Tensor]
Augment = Callable[[Tensor, Tensor, torch.Generator], Batch]


class Loader(ABC):
    """Iterates over `(x, y)` batches; its state is the place in the epoch, from which it goes on.

    Args:
        examples: what is served.
        order: which of them make up each batch.
        device: where the batches arrive.
        augment: called with inputs, labels and the generator that `order` has for the batch.
    """

    def __init__(
        self, examples: Examples, order: BatchOrder, device: torch.device, augment: Augment | None = None
    ) -> None:
        self.examples = examples
        self.sampler = order
        self.batch_sampler = None  # Lightning looks for both, as a DataLoader has them
        self.device = device
        self.augment = augment
        self.start = 0  # of the next epoch that is asked for
        self.place = 0  # of the batch that comes next

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        start, self.start = self.start, 0
        self.sampler.start = start
        for batch, (x, y) in enumerate(self.plain(), start):
            self.place = batch + 1
            yield (x, y) if self.augment is None else self.augment(x, y, self.sampler.draws(batch))

    @abstractmethod
    def plain(self) -> Iterator[Batch]:
        """Yield the batches of an epoch as the examples are, from `sampler.start` on."""

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch were served; Lightning keeps it in a checkpoint."""
        return {"place": self.place}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Go on behind those batches; behind the last, with the next epoch."""
        self.start = state_dict["place"] % len(self)


class ResidentLoader(Loader):
    """Serves tensors that lie on the device already: one indexing operation gathers a few batches."""

    def plain(self) -> Iterator[Batch]:
        """Yield the batches of an epoch as the examples are, from `sampler.start` on."""
        x, y = self.examples.x, self.examples.y
        assert isinstance(x, Tensor)
        positions, size, start = self.sampler.positions().to(self.device), self.sampler.batch_size, self.sampler.start
        for batch in range(start, len(self)):
            place = (batch - start) % GATHERED_AT_ONCE * size
            if place == 0:
                index = positions[batch * size : (batch + GATHERED_AT_ONCE) * size]
                some_x, some_y = x.index_select(0, index), y.index_select(0, index)
            yield some_x[place : place + size], some_y[place : place + size]


class StreamingLoader(Loader):
    """Serves what does not fit: worker processes read ahead, and whole batches are copied to the device.

    Args:
        examples, order, device, augment: as in `Loader`.
        num_workers: processes that read; 0 to read in this one.
    """

    def __init__(
        self,
        examples: Examples,
        order: BatchOrder,
        device: torch.device,
        augment: Augment | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(examples, order, device, augment)
        self.batches: DataLoader[Batch] = DataLoader(
            examples,  # type: ignore[arg-type]  # it has `__getitems__`
            batch_sampler=order,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            collate_fn=as_it_is,  # type: ignore[arg-type]  # what that gave is a whole batch
            pin_memory=device.type == "cuda",
            worker_init_fn=ignore_signals,
            generator=generator(0),  # or it would draw from the run's own, and change its dropout
        )

    def plain(self) -> Iterator[Batch]:
        """Yield the batches of an epoch as the examples are, from `sampler.start` on."""
        for x, y in self.batches:
            yield x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)


def ignore_signals(worker: int) -> None:
    """Let a worker process survive the signals that a whole process group receives, as by Ctrl-C.

    The process that trains still needs batches until its step ends, and ends the workers itself.
    """
    for name in ("SIGINT", "SIGHUP"):  # a worker that hangs is ended by SIGTERM
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def as_it_is(batch: Batch) -> Batch:
    """Return the batch."""
    return batch
