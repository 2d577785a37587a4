"""Exact resume inside an epoch with an ordinary DataLoader: the batches before the checkpoint are drawn again."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from lightning.pytorch.strategies import Strategy
from torch.utils.data import DataLoader, IterableDataset

from trainyard.callbacks.random_state import (
    find_generators,
    get_generator_states,
    get_random_state,
    set_generator_states,
    set_random_state,
)

log = logging.getLogger(__name__)


class ReplayableLoader:
    """A DataLoader whose position in the epoch can be saved and restored; its attributes are those of the DataLoader.

    The position is the random state at the start of the epoch and the number of batches served since. To restore it,
    the next iteration sets that random state, draws and discards as many batches, and sets the current random state
    again. With worker processes, this also restores their random states, unless the workers are persistent and the
    epoch is not their first.

    Args:
        loader: reads a map-style data set.
        device: its random state is restored too.

    Attributes:
        start: the random state at the start of the epoch; `None` before the first.
        served: the number of batches of this epoch that were served.
    """

    start: dict[str, Any] | None
    served: int
    replay: bool
    workers_started: bool

    def __init__(self, loader: DataLoader[Any], device: torch.device) -> None:
        own: dict[str, Any] = {"loader": loader, "device": device, "generators": find_generators([loader])}
        own |= {"start": None, "served": 0, "replay": False, "workers_started": False}
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not yet set, while a copy is being created
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self):
            vars(self)[name] = value
        else:
            setattr(self.loader, name, value)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        replay, self.replay = self.replay, False
        return self.batches(replay)  # a generator: nothing is drawn before the first batch is requested

    def batches(self, replay: bool) -> Iterator[Any]:
        """Yield the batches of an epoch, with `replay` only those after the restored position."""
        current = self.random_state()
        served = self.served if replay else 0
        if replay and self.start:
            self.set_random_state(self.start)
        self.start_workers()
        self.start, self.served = self.random_state(), served
        batches = iter(self.loader)
        if replay:
            log.info("reading the first %d batches of this epoch again, to resume after them", served)
            deque(islice(batches, served), maxlen=0)
            self.set_random_state(current)
        for batch in batches:
            self.served += 1
            yield batch

    def start_workers(self) -> None:
        """Start persistent workers without changing the random state, since a resumed run starts them again."""
        if self.loader.persistent_workers and not self.workers_started:
            self.workers_started = True
            before = self.random_state()
            iter(self.loader)
            self.set_random_state(before)

    def random_state(self) -> dict[str, Any]:
        """Return the random state of the process, and that of the generators of the loader."""
        return {"process": get_random_state(self.device), "loader": get_generator_states(self.generators)}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Restore the random state of the process, and that of the generators of the loader."""
        set_random_state(state["process"], self.device)
        set_generator_states(self.generators, state["loader"])

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the epoch as primitives and tensors; Lightning stores it in checkpoints."""
        return {"start": self.start, "served": self.served}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume at this position with the next iteration."""
        self.start, self.served = state_dict["start"], state_dict["served"]
        self.replay = self.start is not None


def obstacle_to_resume(loader: Any, world_size: int) -> str | None:
    """Return why a run cannot resume inside an epoch of a training loader; `None` if it can.

    It can with a loader that has a state of its own, and with one that can be replayed, which needs a DataLoader with a
    map-style data set and a single process.
    """
    if hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict"):
        return None
    name = type(loader).__name__
    if not isinstance(loader, DataLoader):
        return f"the training loader {name} has no `state_dict`"
    if isinstance(loader.dataset, IterableDataset):
        return f"{type(loader.dataset).__name__} is an iterable data set, and its {name} has no `state_dict`"
    return f"{world_size} processes train, and the {name} has no `state_dict`" if world_size > 1 else None


@contextmanager
def intercept_loaders(strategy: Strategy, process: Callable[[Any], Any]) -> Iterator[None]:
    """In this context, apply a function to each loader that Lightning has prepared."""
    prepare = strategy.process_dataloader
    strategy.process_dataloader = lambda dataloader: process(prepare(dataloader))  # type: ignore[method-assign]
    try:
        yield
    finally:
        del strategy.process_dataloader
