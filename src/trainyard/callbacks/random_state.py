"""The states of random generators as primitives and tensors: those of a process, and those of its DataLoaders."""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

GENERATORS = (torch.Generator, np.random.Generator, random.Random)
OWNERS = (DataLoader, Sampler, Dataset)


def get_random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of the global generators of Python, NumPy, torch and a device."""
    numpy: Any = np.random.get_state(legacy=True)
    name, keys, *rest = numpy
    state = {
        "python": get_generator_state(random),
        "numpy": [name, torch.tensor(keys.astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore the result of `get_random_state`; a device of another type is not changed."""
    set_generator_state(random, state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if device.type != "cpu" and "device" in state:
        torch.get_device_module(device).set_rng_state(state["device"].cpu(), device)


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
    """Return the state of a generator of torch, NumPy or Python; the module `random` is one, too."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return plain_arrays(generator.bit_generator.state)
    version, internal, gauss = generator.getstate()
    return [version, torch.tensor(internal), gauss]  # a tensor is copied faster than 625 numbers


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
