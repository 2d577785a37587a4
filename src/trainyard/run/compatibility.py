"""Checks of a config before a run: do its options fit each other, the data and this machine?"""

import os
import pkgutil
from typing import Any

import lightning as L
from lightning.pytorch.accelerators import AcceleratorRegistry, CPUAccelerator
from lightning.pytorch.callbacks import EarlyStopping, StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.utilities.model_helpers import is_overridden
from omegaconf import DictConfig, OmegaConf

from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.callbacks.protocols import ListsMetrics
from trainyard.callbacks.weight_average import WeightAverage
from trainyard.config.accepted import OBJECT_GROUPS, accepts, has_backbone, is_required, is_unused
from trainyard.config.arguments import check_additions, check_arguments, check_ranges
from trainyard.config.composition import config_groups, instantiate, load_options
from trainyard.config.objective import AUTO, Objective
from trainyard.data.loading.spec import DescribesData
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.run.run_length import callback_classes, check_length, epoch_limit

REQUIRED = (
    *("seed", "objective", "channels_last", "compile", "ema_decay", "sweep", "callbacks", "logger"),
    *("trainer.max_epochs", "trainer.accelerator", "trainer.devices", "trainer.precision"),
)
KINDS = {"data": L.LightningDataModule, "model": L.LightningModule, "trainer": L.Trainer}
ALIASES = ("gpu", "xla")  # further names that Lightning accepts


def check_config(cfg: DictConfig) -> None:
    """Raise a ConfigError for the first problem that can be found without the data."""
    check_complete(cfg)
    check_ranges(cfg)
    if cfg.objective != AUTO:
        Objective.from_config(cfg)
    if cfg.sweep.plan or cfg.sweep.sampler or cfg.sweep.params:
        key, value = ("sweep.plan", True) if cfg.sweep.plan else ("sweep", cfg.run.choices.sweep)
        raise config_error(key, value, "only for sweeps", "with -m")
    check_additions(cfg, cfg.run.overrides)
    check_accelerator(cfg)
    check_arguments(cfg, KINDS)
    check_augment_fits_data(cfg)
    check_finetune(cfg)
    check_callbacks(cfg)
    check_length(cfg)


def check_complete(cfg: DictConfig) -> None:
    """Raise a ConfigError if a required option or value is missing."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        accepted = " ".join(f"{key}={key.rpartition('.')[2].upper()}" for key in missing)
        raise ConfigError(f"{' and '.join(missing)} must be given\n  accepted: {accepted}")
    for group in ("data", "model", "trainer", *OBJECT_GROUPS):
        if is_unused(cfg, group):
            continue
        if problem := missing_option(cfg, group):
            options = join_limited(f"{group}={option}" for option in config_groups().get(group, ()))
            raise ConfigError(f"{problem}\n  accepted: {options}")
    for key in REQUIRED:
        if OmegaConf.select(cfg, key, default=key) == key:
            raise ConfigError(f"{key}: required, but missing\n  accepted: its key in train.yaml, without ~{key}")
    if not isinstance(cfg.get("checkpoint"), DictConfig):
        raise config_error(
            "checkpoint", cfg.get("checkpoint"), "not a value but a group of keys", "checkpoint.every_steps=N"
        )


def missing_option(cfg: DictConfig, group: str) -> str:
    """Return why a group has no option; empty if it has one."""
    if "_target_" not in (cfg.get(group) or {}):
        option = cfg.run.choices.get(group)
        return f"{group}={option}: the option is empty" if option else f"{group}: required, but removed"
    if group in cfg.run.choices:
        return ""
    override = next((word for word in cfg.run.overrides if word.startswith(f"{group}=")), group)
    return f"{override}: one option is needed, not a list"  # for which Hydra records no choice


def check_model_fits_data(cfg: DictConfig, data: object) -> None:
    """Raise a ConfigError with both choices and the valid alternatives if the model does not accept the data."""
    if not accepts(cfg, "model", "spec"):
        return
    chosen = cfg.run.choices
    if not isinstance(data, DescribesData):
        if is_required(cfg, "model", "spec"):
            problem = f"{chosen.model} is built from a description of the data, and {cfg.data._target_} has no spec"
            accepted = f"with data={chosen.data}, a model whose constructor has no parameter spec"
            raise ConfigError(f"model={chosen.model} data={chosen.data}: {problem}\n  accepted: {accepted}")
        return
    spec = data.spec
    inputs = getattr(pkgutil.resolve_name(cfg.model._target_), "inputs", (spec.kind,))
    if spec.kind in inputs:
        return
    models = [name for name in load_options("model") if spec.kind in getattr(target_of("model", name), "inputs", ())]
    sources = [name for name in load_options("data") if getattr(target_of("data", name), "kind", None) in inputs]
    shape = "x".join(map(str, spec.input_shape))
    raise ConfigError(
        f"model={chosen.model} data={chosen.data}: {chosen.model} accepts {' or '.join(inputs)}, "
        f"{chosen.data} provides {spec.kind} ({shape})\n"
        f"  accepted: with data={chosen.data}, model={' or '.join(models)}; "
        f"with model={chosen.model}, data={join_limited(sources)}"
    )


def check_validation(cfg: DictConfig, model: L.LightningModule, data: L.LightningDataModule) -> None:
    """Raise a ConfigError if nothing is validated, so that no epoch can be selected, or not with the objective."""
    if missing := missing_method(model, data, "validation_step", "val_dataloader"):
        accepted = "a validation that logs the objective; it selects the best epoch"
        raise config_error("objective", cfg.objective, missing, accepted)
    names = model.validation_metrics() if isinstance(model, ListsMetrics) else []
    if names and not any(cfg.objective == name or cfg.objective.startswith(f"{name}_") for name in names):
        problem = f"not logged in the validation{did_you_mean(cfg.objective, names)}"
        accepted = f"{join_limited(names)}; another metric with metrics=[NAME]"
        raise config_error("objective", cfg.objective, problem, accepted)


def missing_method(model: L.LightningModule, data: L.LightningDataModule, step: str, loader: str) -> str:
    """Return what a loop of Lightning lacks, such as "UNet has no test_step"; empty if model and data provide it.

    The method that returns the loaders may also be one of the model.
    """
    if not is_overridden(step, model):
        return f"{type(model).__qualname__} has no {step}"
    has_loader = is_overridden(loader, data) or is_overridden(loader, model)
    return "" if has_loader else f"{type(data).__qualname__} has no {loader}"


def check_augment_fits_data(cfg: DictConfig) -> None:
    """Raise a ConfigError if an augmentation of images is chosen for rows."""
    if cfg.augment is None:
        return
    source = pkgutil.resolve_name(cfg.data._target_)
    if instantiate(cfg.augment) and getattr(source, "kind", "images") != "images":
        chosen = cfg.run.choices
        changes = [word for word in cfg.run.overrides if word.startswith("augment.")]
        augment = " ".join(changes) if chosen.augment == "none" and changes else f"augment={chosen.augment}"
        problem = f"augmentation changes images, {chosen.data} provides rows"
        accepted = f"with data={chosen.data}, augment=none"
        raise ConfigError(f"{augment} data={chosen.data}: {problem}\n  accepted: {accepted}")


def check_finetune(cfg: DictConfig) -> None:
    """Raise a ConfigError for a fine-tuning plan that the model or the length of the run does not allow."""
    if cfg.finetune is None:
        return
    unfreeze, epochs, chosen = list(cfg.finetune.unfreeze), epoch_limit(cfg), cfg.run.choices
    if (chosen.finetune != "head" or unfreeze) and not has_backbone(cfg):
        problem = f"finetune={chosen.finetune} model={chosen.model}: {chosen.model} has no pretrained layers"
        raise ConfigError(f"{problem}\n  accepted: with model={chosen.model}, finetune=head; or model=transfer")
    problem, known = "", epochs > 0  # otherwise fractions and epochs cannot be compared
    fractions = [when / epochs if when >= 1 and known else when for when in unfreeze]
    if any(when > 1 and when != round(when) for when in unfreeze):
        problem, accepted = "neither fractions nor epochs", "a list like [0.25,0.5] or [1,5,10]"
    elif fractions != sorted(fractions):
        problem, accepted = "a part is unfrozen before the one above it", "increasing numbers"
    elif fractions and fractions[-1] >= 1 and known:
        problem, accepted = f"the run ends after {epochs} epochs", f"epochs below {epochs}, or fractions"
    if problem:
        raise config_error("finetune.unfreeze", unfreeze, problem, accepted)


def check_callbacks(cfg: DictConfig) -> None:
    """Raise a ConfigError for a callback that would have no effect, or if the one that `on_nan` needs is missing."""
    classes = callback_classes(cfg)
    if cfg.on_nan != "stop" and not any(issubclass(kind, FiniteLoss) for kind in classes.values()):
        problem = "callbacks.finite_loss, which implements it, is missing"
        raise config_error("on_nan", cfg.on_nan, problem, "with callbacks=default, or on_nan=stop")
    every_epoch = cfg.trainer.get("check_val_every_n_epoch", 1) == 1
    for name, kind in classes.items():
        if issubclass(kind, StochasticWeightAveraging | WeightAveraging) and not issubclass(kind, WeightAverage):
            problem = "its average would be neither tested nor saved"
            accepted = "ema_decay=0.999 instead: an average that is validated, tested and saved"
            raise config_error(f"callbacks.{name}", kind.__name__, problem, accepted)
        part = cfg.callbacks[name]
        at_epoch_end = issubclass(kind, EarlyStopping) and part.get("check_on_train_epoch_end")
        if at_epoch_end and str(part.get("monitor")).startswith(("val/", AUTO)) and not every_epoch:
            key = f"callbacks.{name}.check_on_train_epoch_end"
            raise config_error(key, True, "not every epoch is validated", "null, to check after each validation")


def target_of(group: str, option: str) -> Any:
    """Return the class that an option of the project builds."""
    return pkgutil.resolve_name(load_options(group)[option]._target_)


def check_accelerator(cfg: DictConfig) -> None:
    """Raise a ConfigError if this machine lacks the accelerator, or the accelerator the requested features."""
    name = cfg.trainer.get("accelerator", "auto")
    available = available_accelerators()
    if name not in ("auto", *AcceleratorRegistry, *ALIASES):
        raise config_error("trainer.accelerator", name, "unknown accelerator", " or ".join(["auto", *available]))
    if name not in ("auto", *available, *ALIASES):
        options = load_options("accelerator")
        usable = [option for option, values in options.items() if values.accelerator in ("auto", *available)]
        choice = cfg.run.choices.accelerator
        raise config_error("accelerator", choice, f"there is no {name} device here", " or ".join(usable))
    if name == "cpu" or available == ["cpu"]:
        check_cpu(cfg.trainer)
    if "fsdp" in str(cfg.trainer.get("strategy")).lower() and cfg.run.choices.get("optimizer") == "muon":
        problem = "it needs whole matrices, and accelerator=fsdp splits them among processes"
        raise config_error("optimizer", "muon", problem, "another optimizer, or accelerator=ddp")


def available_accelerators() -> list[str]:
    """Return the names of the accelerators that this machine has."""
    return [name for name, entry in AcceleratorRegistry.items() if entry["accelerator"].is_available()]


def check_cpu(trainer: DictConfig) -> None:
    """Raise a ConfigError for more processes than cores, and for half precision, which CPUs lack."""
    devices, most = trainer.get("devices", 1), max(2, os.cpu_count() or 1)
    try:
        count = CPUAccelerator.parse_devices(devices)
    except (TypeError, ValueError) as error:
        raise config_error(
            "trainer.devices", devices, "not a number of processes on the CPU", f"1 to {most}"
        ) from error
    if devices != "auto" and not 1 <= count <= most:
        raise config_error("trainer.devices", devices, f"this machine has {os.cpu_count()} cores", f"1 to {most}")
    precision = trainer.get("precision", "32-true")
    if precision in ("16-mixed", "16-true"):  # Lightning would replace it silently
        accepted = "32-true, bf16-mixed, bf16-true, 64-true"
        raise config_error("trainer.precision", precision, "not supported on CPUs", accepted)
