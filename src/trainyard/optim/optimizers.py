"""Parameter groups, timm's optimizers by name, and a check of optimizers and schedulers before a run."""

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatch
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from trainyard.config.composition import argument_problem, instantiate
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.optim.schedules import lightning_scheduler

STEPS = 100


def weight_decay_groups(
    named: Iterable[tuple[str, nn.Parameter]], prefix: str = "", no_decay: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return parameters in two groups; vectors and scalars (biases, norms) get `weight_decay: 0`.

    Decay regularises the weights of a sum, but only shifts a bias or the scale of a norm (He et al. 2018,
    arXiv:1812.01187). timm's `param_groups_weight_decay` has the same rule, but skips frozen parameters, and would
    exclude all parameters that FSDP has flattened.

    Args:
        prefix: prefix of the group names, `weights` and `biases_and_norms`.
        no_decay: names or patterns, such as `pos_embed.*`, of other parameters without decay.
    """
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in named:
        dimensions = getattr(parameter, "whole_ndim", parameter.ndim)  # before FSDP flattened the parameter
        excluded = dimensions < 2 or any(fnmatch(name, pattern) for pattern in no_decay)
        (others if excluded else weights).append(parameter)
    groups: list[dict[str, Any]] = [
        {"name": f"{prefix}weights", "params": weights},
        {"name": f"{prefix}biases_and_norms", "params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def timm_optimizer(params: Iterable[Any], opt: str, lr: float, weight_decay: float = 0.0, **options: Any) -> Optimizer:
    """Build timm's optimizer `opt`, with its own options, for parameter groups."""
    from timm.optim import create_optimizer_v2, list_optimizers

    known = list_optimizers()
    if opt.lower() not in known:
        problem = f"timm has no such optimizer{did_you_mean(opt, known)}"
        raise config_error("optimizer.opt", opt, problem, join_limited(known, 40))
    return create_optimizer_v2(params, opt, lr, weight_decay, **options)  # type: ignore[no-any-return]


def check_optimizer(cfg: DictConfig) -> None:
    """Raise a ConfigError if the optimizer or the scheduler rejects its arguments; both are built for one weight.

    A model that accepts neither chooses its own.
    """
    if cfg.optimizer is None:
        return
    make_optimizer = instantiate_partial(cfg, "optimizer")
    make_scheduler = None if cfg.scheduler is None else instantiate_partial(cfg, "scheduler")
    group = "optimizer"
    try:
        optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(2, 2))])
        if not isinstance(optimizer, Optimizer):
            target = cfg.optimizer._target_
            raise config_error("optimizer._target_", target, "not an optimizer", "a class of optimizers")
        group = "scheduler"
        if make_scheduler is not None:
            lightning_scheduler(make_scheduler, optimizer, STEPS)
    except ConfigError:
        raise
    except Exception as error:
        if problem := argument_problem(error):
            raise ConfigError(f"{group}: {problem}") from error
        raise


def instantiate_partial(cfg: DictConfig, group: str) -> Callable[..., Any]:
    """Instantiate an option that must have `_partial_: true`."""
    make = instantiate(cfg[group])
    if not callable(make):
        problem = "it needs the weights, so it is built later"
        raise config_error(f"{group}._partial_", cfg[group].get("_partial_"), problem, "true")
    return make  # type: ignore[no-any-return]
