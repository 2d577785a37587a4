"""The networks of a sweep, built without memory and without arithmetic."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from trainyard.sweeps.execution.checks import plain
from trainyard.sweeps.execution.job_process import die_with_parent


@dataclass(frozen=True)
class Network:
    """What a model is, by one look.

    Attributes:
        parameters: number of all.
        inputs, outputs: shape of one example, and of what the network makes of it.
        real: whether it had to be built with memory, since a part of it cannot do without.
    """

    parameters: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    real: bool = False


def networks_of(configs: Iterable[DictConfig], context: Any) -> list[Network]:
    """Return the network of each config; a process of its own builds them, since that takes torch, and the data.

    Args:
        configs: with Hydra's node.
        context: of multiprocessing.
    """
    with ProcessPoolExecutor(1, mp_context=context, initializer=begin) as process:
        return list(process.map(network_of, configs))


def begin() -> None:
    """Prepare the process that builds networks."""
    die_with_parent()
    setup_globals()


def network_of(config: DictConfig) -> Network:
    """Return the network of a job."""
    cfg = plain(config)
    return look(OmegaConf.to_yaml(cfg.data), OmegaConf.to_yaml(cfg.model))


@cache
def look(data: str, model: str) -> Network:
    """Return the network of two groups of a config; each pair is built once.

    Weights that would be downloaded are not: without them the network has the same shapes.
    """
    import torch

    spec, group = spec_of(data), OmegaConf.create(model)
    assert isinstance(group, DictConfig)
    if group.get("weights") == "pretrained":
        group.weights = "none"
    try:
        with torch.device("meta"):
            return pass_example(group, spec)
    except Exception:  # whatever tensors without memory cannot do, such as to tell a number; real ones may
        return pass_example(group, spec, real=True)


@cache
def spec_of(data: str) -> Any:
    """Return what a model must know of the data."""
    from trainyard.config import instantiate

    group = OmegaConf.create(data)
    assert isinstance(group, DictConfig)
    return instantiate(group, order_seed=0).spec


def pass_example(model: DictConfig, spec: Any, real: bool = False) -> Network:
    """Build a network and let an example through."""
    import torch

    from trainyard.config import instantiate

    network = instantiate(model, spec=spec).eval()
    with torch.no_grad():
        logits = network(network.example_input_array)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Network(parameters, tuple(spec.input_shape), tuple(logits.shape[1:]), real)
