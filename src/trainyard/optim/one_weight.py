"""An optimizer and its schedule tried on a single weight, before a run builds them for its own."""

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch.optim import Optimizer

from trainyard.config import instantiate, of_arguments
from trainyard.errors import ConfigError, reject
from trainyard.optim.schedules import lightning_scheduler

STEPS = 100


def check_steps(cfg: DictConfig) -> None:
    """Raise a ConfigError where the optimizer or the schedule of a config rejects its arguments, or is none."""
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = made("optimizer", partial_of(cfg, "optimizer"), [weight])
    if not isinstance(optimizer, Optimizer):
        raise reject("optimizer._target_", cfg.optimizer._target_, "it makes no optimizer", "a class of optimizers")
    made("scheduler", lightning_scheduler, partial_of(cfg, "scheduler"), optimizer, STEPS)


def partial_of(cfg: DictConfig, group: str) -> Callable[..., Any]:
    """Return what makes a part when it is called."""
    make = instantiate(cfg[group])
    if not callable(make):
        raise reject(
            f"{group}._partial_", cfg[group].get("_partial_"), "it is built when its weights are there", "true"
        )
    return make  # type: ignore[no-any-return]


def made(group: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """Return what is made, or raise a ConfigError with what is wrong with the arguments that were typed."""
    try:
        return make(*arguments)
    except ConfigError:
        raise
    except Exception as error:
        if said := of_arguments(error):
            raise ConfigError(f"{group}: {said}") from error
        raise
