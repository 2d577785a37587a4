"""Checks of the sweep's own options, and the metrics that a sweep compares its jobs by."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.arguments import check_arguments
from trainyard.config.composition import objective_mode
from trainyard.config.constraints import check_ranges, read_text
from trainyard.io.errors import config_error, join_limited

METRICS = ("val/acc", "val/loss")
COSTS = ("seconds", "epochs", "parameters")  # keys of result.json


def check_options(config: DictConfig) -> None:
    """Raise a ConfigError for invalid options of a sweep.

    Args:
        config: with Hydra's node. Values from the environment are converted in place.
    """
    options: dict[str, Any] = {
        "sweep": OmegaConf.to_container(config.sweep, resolve=True),
        "hydra": {"launcher": {"slots": config.hydra.launcher.get("slots", 1)}},
    }
    read_text(options)
    own = config.sweep
    with open_dict(config):
        own.update(options["sweep"])
        if "slots" in config.hydra.launcher:
            config.hydra.launcher.slots = options["hydra"]["launcher"]["slots"]
    for name, example in (("zip", "[model,data]"), ("objectives", "[val/acc,seconds]")):
        if own[name] is not None and not isinstance(own[name], ListConfig):
            raise config_error(f"sweep.{name}", own[name], "must be a list", f"sweep.{name}={example}")
    if not isinstance(own.params, DictConfig):
        raise config_error("sweep.params", own.params, "must be keys with their values", "sweep.params={seed:'0,1'}")
    if own.trials is not None and own.sampler is None:
        raise config_error("sweep.trials", own.trials, "a grid runs all of its jobs", "with sweep=random or sweep=tpe")
    if own.trials is None and own.sampler is not None:
        raise config_error("sweep.trials", "null", "a search needs a number of trials", "a whole number from 1")
    if own.pruner != "none" and own.objectives and len(own.objectives) > 1:
        raise config_error(
            "sweep.pruner", own.pruner, "several objectives give no order to prune by", "sweep.pruner=none"
        )
    if isinstance(own.sampler, DictConfig):
        check_arguments(OmegaConf.create({"sweep": {"sampler": own.sampler}}))
    check_ranges(OmegaConf.create(options))
    name = str(own.name)
    if name in (".", "..") or {"/", "\\"} & set(name):
        accepted = "a name without slashes, or hydra.sweep.dir=PATH"
        raise config_error("sweep.name", name, "it is not the name of one folder", accepted)


def check_objectives(names: Sequence[Any], run_objective: str, axes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the metrics of a sweep, the objective of its runs first.

    Raises:
        ConfigError: one is not measured on validation, the objective of the runs is missing, or it varies.
    """
    for axis, values in axes.items():
        if axis.lstrip("+") == "objective":
            raise config_error(axis, ",".join(values), "scores of several metrics cannot be ranked", "one of them")
    known = (*METRICS, *COSTS)
    for name in names:
        if name not in known:
            raise config_error(
                "sweep.objectives", join_limited(names), f"{name} is not measured", f"a list of {join_limited(known)}"
            )
    if names and run_objective not in names:
        accepted = f"a list with {run_objective}, or another objective"
        raise config_error(
            "sweep.objectives", join_limited(names), f"the objective of the runs is {run_objective}", accepted
        )
    return list(dict.fromkeys([run_objective, *names]))


def mode_of(name: str) -> str:
    """Return whether a metric is to be maximized (`max`) or minimized (`min`)."""
    return "min" if name in COSTS else objective_mode(name)
