"""The states of random generators as primitives and tensors: those of a process, and those of its DataLoaders."""

import random
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.strategies import Strategy

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
NO_GENERATORS = (type, ModuleType, torch.Tensor, np.ndarray, L.Trainer, Strategy)  # are not searched for generators
MAX_ELEMENTS = 1000  # of a list, set or dict; longer ones contain data
MAX_OBJECTS = 100_000  # are searched, which takes about 0.1 s


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
    """Return the random generators that objects such as loaders own, each once.

    They may be attributes of a sampler, of a data set or of its transforms, in lists and dicts, or in functions.
    """
    found: list[Any] = []
    seen: dict[int, Any] = {}
    remaining = [*owners][::-1]
    while remaining and len(seen) < MAX_OBJECTS:
        owner = remaining.pop()  # depth first: another owner at the end changes nothing before it
        if id(owner) in seen:
            continue
        seen[id(owner)] = owner
        if isinstance(owner, GENERATORS):
            found.append(owner)
        elif not isinstance(owner, NO_GENERATORS):
            remaining += parts_of(owner)[::-1]
    return found


def parts_of(owner: Any) -> list[Any]:
    """Return the elements of a container, what a function has bound, or the attributes of another object."""
    parts = list(getattr(owner, "__dict__", {}).values())
    if isinstance(owner, dict | list | tuple | set) and len(owner) <= MAX_ELEMENTS:
        parts += owner.values() if isinstance(owner, dict) else owner
    elif isinstance(owner, partial):
        parts += [owner.func, owner.args, owner.keywords]
    elif isinstance(owner, MethodType):
        parts.append(owner.__self__)
    elif isinstance(owner, FunctionType):
        parts += owner.__closure__ or ()
    elif isinstance(owner, CellType):
        with suppress(ValueError):  # the variable has no value yet
            parts.append(owner.cell_contents)
    return parts


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
    if isinstance(generator, np.random.RandomState):
        return plain_arrays(generator.get_state(legacy=False))
    version, internal, gauss = generator.getstate()
    return [version, torch.tensor(internal), gauss]  # a tensor is copied faster than 625 numbers


def set_generator_state(generator: Any, state: Any) -> None:
    """Restore the result of `get_generator_state`."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        version, internal, gauss = state
        generator.setstate((version, tuple(internal.tolist()), gauss))


def plain_arrays(state: Any) -> Any:
    """Return the nested state of a bit generator of NumPy with its arrays as lists."""
    if isinstance(state, dict):
        return {name: plain_arrays(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
