"""Whether the chosen parts fit each other and this machine."""

import pkgutil
from typing import Any

from lightning.pytorch.accelerators import (
    Accelerator,
    CPUAccelerator,
    CUDAAccelerator,
    MPSAccelerator,
    XLAAccelerator,
)
from omegaconf import DictConfig, OmegaConf

from trainyard.config import group_options, instantiate
from trainyard.data.spec import DataSpec
from trainyard.errors import ConfigError, listing, reject

ACCELERATORS: dict[str, type[Accelerator]] = {
    "cpu": CPUAccelerator,
    "cuda": CUDAAccelerator,
    "mps": MPSAccelerator,
    "tpu": XLAAccelerator,
}


def check_complete(cfg: DictConfig) -> None:
    """Raise a ConfigError when a part that every run needs was taken out of the config, or a value must be given."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        accepted = " ".join(f"{key}={key.rpartition('.')[2].upper()}" for key in missing)
        raise ConfigError(f"{' and '.join(missing)} must be given\n  accepted: {accepted}")
    for group in ("data", "augment", "model", "optimizer", "scheduler", "trainer"):
        if "_target_" not in (cfg.get(group) or {}):
            options = listing(f"{group}={option}" for option in group_options(group))
            raise ConfigError(f"{group}: every run needs one, but it was taken out\n  accepted: {options}")


def check_model_fits_data(cfg: DictConfig, spec: DataSpec) -> None:
    """Raise a ConfigError that names both choices and those that would fit, when a model cannot take such inputs."""
    model = pkgutil.resolve_name(cfg.model._target_)
    inputs = getattr(model, "inputs", (spec.kind,))
    if spec.kind in inputs:
        return
    chosen = cfg.run.choices
    models = [name for name in group_options("model") if spec.kind in target_of("model", name).inputs]
    sources = [name for name in group_options("data") if target_of("data", name).kind in inputs]
    shape = "x".join(map(str, spec.input_shape))
    raise ConfigError(
        f"model={chosen.model} data={chosen.data}: {chosen.model} takes {' or '.join(inputs)}, "
        f"{chosen.data} gives {spec.kind} ({shape})\n"
        f"  accepted: with data={chosen.data}, model={' or '.join(models)}; "
        f"with model={chosen.model}, data={listing(sources)}"
    )


def check_augment_fits_data(cfg: DictConfig) -> None:
    """Raise a ConfigError when pictures' augmentation is chosen for rows."""
    source = pkgutil.resolve_name(cfg.data._target_)
    if instantiate(cfg.augment) and getattr(source, "kind", "images") != "images":
        chosen = cfg.run.choices
        raise ConfigError(
            f"augment={chosen.augment} data={chosen.data}: {chosen.augment} changes images, {chosen.data} gives rows\n"
            f"  accepted: with data={chosen.data}, augment=none"
        )


def target_of(group: str, option: str) -> Any:
    """Return the class that an option of the project's names."""
    return pkgutil.resolve_name(group_options(group)[option]._target_)


def check_accelerator(cfg: DictConfig) -> None:
    """Raise a ConfigError when the chosen accelerator is not on this machine."""
    wanted = cfg.trainer.accelerator
    here = [name for name, kind in ACCELERATORS.items() if kind.is_available()]
    if wanted in ("auto", *here):
        return
    options = group_options("accelerator")
    usable = [name for name, option in options.items() if option.accelerator in ("auto", *here)]
    choice = cfg.run.choices.accelerator
    raise reject("accelerator", choice, f"there is no {wanted} device here", " or ".join(usable))
