"""Whether the chosen parts fit each other and this machine."""

import pkgutil
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf

from trainyard.accelerators import check_accelerator
from trainyard.arguments import check_additions, check_arguments, parameters
from trainyard.config import group_options, instantiate
from trainyard.data.loading.spec import DataSpec
from trainyard.errors import ConfigError, listing, reject
from trainyard.ranges import check_ranges
from trainyard.run_length import check_length, epoch_limit

NEEDED = (
    *("seed", "objective", "channels_last", "compile", "ema_decay", "sweep", "callbacks", "logger"),
    *("trainer.max_epochs", "trainer.accelerator", "trainer.devices", "trainer.precision"),
)
KINDS = {"data": L.LightningDataModule, "model": L.LightningModule, "trainer": L.Trainer}
OBJECTIVES = ("val/acc", "val/loss")


def check_config(cfg: DictConfig) -> None:
    """Raise a ConfigError for the first thing that cannot work, as far as that can be told without the data."""
    check_complete(cfg)
    check_ranges(cfg)
    if cfg.objective not in OBJECTIVES:
        raise reject("objective", cfg.objective, "it is not measured on validation", " or ".join(OBJECTIVES))
    check_is_no_sweep(cfg)
    check_additions(cfg, cfg.run.overrides)
    check_accelerator(cfg)
    check_arguments(cfg, KINDS)
    check_augment_fits_data(cfg)
    check_finetune(cfg)
    check_on_nan(cfg)
    check_length(cfg)


def check_is_no_sweep(cfg: DictConfig) -> None:
    """Raise a ConfigError for what only a sweep can do."""
    key, value = ("sweep.plan", True) if cfg.sweep.plan else ("sweep", cfg.run.choices.sweep)
    if cfg.sweep.plan or cfg.sweep.sampler or cfg.sweep.params:
        raise reject(key, value, "a single run is no sweep, and has no plan", "with -m")


def check_complete(cfg: DictConfig) -> None:
    """Raise a ConfigError when a part that every run needs was taken out of the config, or a value must be given."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        accepted = " ".join(f"{key}={key.rpartition('.')[2].upper()}" for key in missing)
        raise ConfigError(f"{' and '.join(missing)} must be given\n  accepted: {accepted}")
    for group in ("data", "augment", "model", "optimizer", "scheduler", "finetune", "trainer"):
        options = listing(f"{group}={option}" for option in group_options(group))
        if "_target_" not in (cfg.get(group) or {}):
            option = cfg.run.choices.get(group)
            problem = (
                f"{group}={option}: the option is empty"
                if option
                else f"{group}: every run needs one, but it was taken out"
            )
            raise ConfigError(f"{problem}\n  accepted: {options}")
        if group not in cfg.run.choices:  # of a list of options, none is noted
            typed = next((word for word in cfg.run.overrides if word.startswith(f"{group}=")), group)
            raise ConfigError(f"{typed}: every run has one option of it, not a list\n  accepted: {options}")
    for key in NEEDED:
        if OmegaConf.select(cfg, key, default=key) == key:
            raise ConfigError(f"{key}: every run needs it, but it was taken out\n  accepted: without ~{key}")


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
        changes = [word for word in cfg.run.overrides if word.startswith("augment.")]
        typed = " ".join(changes) if chosen.augment == "none" and changes else f"augment={chosen.augment}"
        raise ConfigError(
            f"{typed} data={chosen.data}: augmentation changes images, {chosen.data} gives rows\n"
            f"  accepted: with data={chosen.data}, augment=none"
        )


def has_backbone(cfg: DictConfig) -> bool:
    """Whether the model has layers that were trained before, which `finetune` can freeze and thaw."""
    return "finetune" in parameters(pkgutil.resolve_name(cfg.model._target_))[0]


def check_finetune(cfg: DictConfig) -> None:
    """Raise a ConfigError for a plan that the model has no layers for, or that cannot be kept."""
    thaw, epochs = list(cfg.finetune.thaw), epoch_limit(cfg)
    if (cfg.run.choices.finetune != "head" or thaw) and not has_backbone(cfg):
        chosen = cfg.run.choices
        problem = f"finetune={chosen.finetune} model={chosen.model}: {chosen.model} has no backbone to freeze and thaw"
        raise ConfigError(f"{problem}\n  accepted: with model={chosen.model}, finetune=head; or model=transfer")
    if any(when > 1 and when != round(when) for when in thaw):
        raise reject("finetune.thaw", thaw, "neither fractions nor epochs", "a list like [0.25,0.5] or [1,5,10]")
    known = epochs > 0  # else fractions and epochs are only compared with their like
    fractions = [when / epochs if when >= 1 and known else when for when in thaw]
    if fractions != sorted(fractions):
        raise reject("finetune.thaw", thaw, "a part joins before the one above it", "numbers that rise")
    if fractions and fractions[-1] >= 1 and known:
        raise reject(
            "finetune.thaw", thaw, f"the run ends after {epochs} epochs", f"epochs below {epochs}, or fractions"
        )


def check_on_nan(cfg: DictConfig) -> None:
    """Raise a ConfigError when nothing in the config looks at the gradients that are to be left out."""
    targets = [part["_target_"] for part in (cfg.callbacks or {}).values() if part]
    if cfg.on_nan != "stop" and not any(target.endswith(".FiniteLoss") for target in targets):
        problem = "callbacks.finite_loss does that, which was taken out"
        raise reject("on_nan", cfg.on_nan, problem, "with callbacks=default, or on_nan=stop")


def target_of(group: str, option: str) -> Any:
    """Return the class that an option of the project's names."""
    return pkgutil.resolve_name(group_options(group)[option]._target_)
