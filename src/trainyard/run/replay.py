"""Exact resume inside an epoch with an ordinary DataLoader: the batches before the checkpoint are drawn again."""

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning.pytorch.strategies import Strategy
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from trainyard.callbacks.process_state import get_random_state, pack_random_state, set_random_state

log = logging.getLogger(__name__)

GENERATORS = (torch.Generator, np.random.Generator, random.Random)
OWNERS = (DataLoader, Sampler, Dataset)


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
        start: the random state at the start of the epoch, packed; `None` before the first.
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
        self.start, self.served = pack_state(self.random_state()), served
        batches = iter(self.loader)
        if replay:
            log.info("reading the first %d batches of this epoch again, to resume after them", served)
            deque(islice(batches, served), maxlen=0)
            self.set_random_state(pack_state(current))
        for batch in batches:
            self.served += 1
            yield batch

    def start_workers(self) -> None:
        """Start persistent workers without changing the random state, since a resumed run starts them again."""
        if self.loader.persistent_workers and not self.workers_started:
            self.workers_started = True
            before = pack_state(self.random_state())
            iter(self.loader)
            self.set_random_state(before)

    def random_state(self) -> dict[str, Any]:
        """Return the random state of the process, and that of the generators of the loader."""
        return {"process": get_random_state(self.device), "loader": get_generator_states(self.generators)}

    def set_random_state(self, state: Mapping[str, Any]) -> None:
        """Restore the packed random state of the process, and that of the generators of the loader."""
        set_random_state(state["process"], self.device)
        set_generator_states(self.generators, state["loader"])

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the epoch as primitives and tensors; Lightning stores it in checkpoints."""
        return {"start": self.start, "served": self.served}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume at this position with the next iteration."""
        self.start, self.served = state_dict["start"], state_dict["served"]
        self.replay = self.start is not None


def pack_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return the result of `ReplayableLoader.random_state` as primitives and tensors."""
    return {**state, "process": pack_random_state(state["process"])}


def find_generators(owners: Iterable[Any]) -> list[Any]:
    """Return the random generators among the attributes of loaders, their samplers and data sets, each once."""
    found: dict[int, Any] = {}
    seen: dict[int, Any] = {}
    remaining = deque(owners)
    while remaining:
        owner = remaining.popleft()
        values = [] if id(owner) in seen else list(getattr(owner, "__dict__", {}).values())
        seen[id(owner)] = owner
        found |= {id(value): value for value in values if isinstance(value, GENERATORS)}
        remaining.extend(value for value in values if isinstance(value, OWNERS))
    return list(found.values())


def get_generator_states(generators: Iterable[Any]) -> list[Any]:
    """Return the states of generators as primitives and tensors."""
    return [get_generator_state(generator) for generator in generators]


def set_generator_states(generators: Iterable[Any], states: Iterable[Any]) -> None:
    """Restore the result of `get_generator_states`."""
    for generator, state in zip(generators, states, strict=False):
        set_generator_state(generator, state)


def get_generator_state(generator: Any) -> Any:
    """Return the state of a generator of torch, NumPy or Python."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return plain_arrays(generator.bit_generator.state)
    version, internal, gauss = generator.getstate()
    return [version, torch.tensor(internal), gauss]


def set_generator_state(generator: Any, state: Any) -> None:
    """Restore the result of `get_generator_state`."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        version, internal, gauss = state
        generator.setstate((version, tuple(internal.tolist()), gauss))


def plain_arrays(state: Any) -> Any:
    """Return the nested state of a bit generator of NumPy with its arrays as lists."""
    if isinstance(state, dict):
        return {name: plain_arrays(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state


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
