"""What a person may type of a sweep itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.arguments import check_arguments
from trainyard.errors import reject
from trainyard.ranges import check_ranges, read_text


def check_options(config: DictConfig) -> None:
    """Raise a ConfigError for options that a sweep does not accept, from its config with Hydra's node.

    Text from the environment is read as in the config of a run.
    """
    options: dict[str, Any] = {
        "sweep": OmegaConf.to_container(config.sweep, resolve=True),
        "hydra": {"launcher": {"slots": config.hydra.launcher.get("slots", 1)}},
    }
    read_text(options)
    own = config.sweep
    with open_dict(config):
        own.update(options["sweep"])  # in place, since the caller holds it
        if "slots" in config.hydra.launcher:
            config.hydra.launcher.slots = options["hydra"]["launcher"]["slots"]
    for name, example in (("zip", "[model,data]"), ("objectives", "[val/acc,seconds]")):
        if own[name] is not None and not isinstance(own[name], ListConfig):
            raise reject(f"sweep.{name}", own[name], "must be a list", f"sweep.{name}={example}")
    if not isinstance(own.params, DictConfig):
        raise reject("sweep.params", own.params, "must be keys with their values", "sweep.params={seed:'0,1'}")
    if own.trials is not None and own.sampler is None:
        raise reject("sweep.trials", own.trials, "a grid runs all of its jobs", "with sweep=random or sweep=tpe")
    if own.trials is None and own.sampler is not None:
        raise reject("sweep.trials", "null", "a search goes on until it has so many", "a whole number from 1")
    if own.pruner != "none" and own.objectives and len(own.objectives) > 1:
        raise reject("sweep.pruner", own.pruner, "several objectives give no order to prune by", "sweep.pruner=none")
    if isinstance(own.sampler, DictConfig):
        check_arguments(OmegaConf.create({"sweep": {"sampler": own.sampler}}))
    check_ranges(OmegaConf.create(options))
    name = str(config.sweep.name)
    if name in (".", "..") or {"/", "\\"} & set(name):
        accepted = "a name without slashes, or hydra.sweep.dir=PATH"
        raise reject("sweep.name", name, "it is not the name of one folder", accepted)


def check_axes(axes: Mapping[str, Sequence[str]]) -> None:
    """Raise a ConfigError where the objective is among what varies."""
    for axis, values in axes.items():
        if axis.lstrip("+") == "objective":
            raise reject(axis, ",".join(values), "scores of several metrics cannot be ranked", "one of them")
