"""The length of a run and its validation interval: computed from the limits in the config, and checked."""

import math
import pkgutil

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, Timer
from omegaconf import DictConfig, OmegaConf

from trainyard.config.arguments import parameters
from trainyard.data.loading.spec import CountsBatches
from trainyard.io.errors import config_error

CONSTANT_RATE = "trainyard.optim.schedules.constant"
LENGTH = "trainer.max_epochs=N or +trainer.max_steps=N"


def epoch_limit(cfg: DictConfig) -> int:
    """Return the maximum number of epochs, -1 for no limit (Lightning replaces null by 1000)."""
    return -1 if cfg.trainer.max_epochs is None else int(cfg.trainer.max_epochs)


def has_known_length(cfg: DictConfig) -> bool:
    """Whether a run is limited in epochs or steps, so that schedules know its length."""
    return epoch_limit(cfg) > 0 or cfg.trainer.get("max_steps", -1) > 0 or bool(cfg.trainer.get("fast_dev_run"))


def format_length(cfg: DictConfig) -> str:
    """Return the limits of a run, such as "30 epochs or 100 steps"."""
    trainer = cfg.trainer
    counts = {"epoch": epoch_limit(cfg), "step": trainer.get("max_steps", -1)}
    limits = [f"{count} {unit}{'' if count == 1 else 's'}" for unit, count in counts.items() if count > 0]
    if trainer.get("max_time") is not None:
        limits.append(str(trainer.max_time))
    if trainer.get("fast_dev_run"):
        limits = ["fast_dev_run"]
    return " or ".join(limits) or "no limit"


def callback_classes(cfg: DictConfig) -> dict[str, type]:
    """Return the class of each callback in a config, by name."""
    parts = {str(name): part for name, part in (cfg.callbacks or {}).items() if part is not None}
    targets = {name: pkgutil.resolve_name(part["_target_"]) for name, part in parts.items()}
    return {name: target for name, target in targets.items() if isinstance(target, type)}


def check_length(cfg: DictConfig) -> None:
    """Raise a ConfigError for limits that contradict each other or another part of the config."""
    trainer = cfg.trainer
    check_time(cfg)
    ends = has_known_length(cfg) or trainer.get("max_time") is not None
    if not ends and not any(issubclass(kind, EarlyStopping) for kind in callback_classes(cfg).values()):
        accepted = "a whole number from 1; with +trainer.max_steps=N, +trainer.max_time=DD:HH:MM:SS or early stopping"
        raise config_error("trainer.max_epochs", trainer.max_epochs, "the run would never end", accepted)
    if not has_known_length(cfg):
        check_without_length(cfg)
    interval = trainer.get("val_check_interval", 1.0)
    if trainer.get("check_val_every_n_epoch", 1) is None and isinstance(interval, float):
        accepted = "a whole number of batches, or a time such as 00:01:00:00"
        raise config_error(
            "trainer.val_check_interval", interval, "check_val_every_n_epoch=null counts batches", accepted
        )


def check_time(cfg: DictConfig) -> None:
    """Raise a ConfigError for a time limit that is not a positive duration."""
    value = cfg.trainer.get("max_time")
    if value is None:
        return
    duration = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    try:
        seconds = Timer(duration).time_remaining()  # type: ignore[arg-type]
    except Exception:  # Lightning raises several kinds for an invalid text
        seconds = None
    if not seconds or seconds <= 0:
        accepted = "DD:HH:MM:SS, such as 00:01:30:00 for 90 minutes"
        raise config_error("trainer.max_time", value, "not a positive duration", accepted)


def check_without_length(cfg: DictConfig) -> None:
    """Raise a ConfigError for a part that requires the number of steps if it is unknown."""
    target = cfg.scheduler._target_ if cfg.scheduler else CONSTANT_RATE
    if target != CONSTANT_RATE and "total_steps" in parameters(pkgutil.resolve_name(target))[0]:
        problem = "the number of steps is not known in advance"
        chosen = cfg.run.choices.scheduler
        raise config_error("scheduler", chosen, problem, f"scheduler=constant or plateau, or with {LENGTH}")
    if cfg.finetune and any(0 < when < 1 for when in cfg.finetune.unfreeze):
        problem = "fractions of a run whose number of steps is not known in advance"
        raise config_error("finetune.unfreeze", list(cfg.finetune.unfreeze), problem, f"epochs, or with {LENGTH}")
    if cfg.sweep.pruner != "none":
        problem = "the number of epochs is not known in advance"
        raise config_error("sweep.pruner", cfg.sweep.pruner, problem, f"none, or with {LENGTH}")


def check_batches(trainer: L.Trainer, data: L.LightningDataModule) -> None:
    """Raise a ConfigError for limits that do not fit the number of batches of the data, if it knows them."""
    if not isinstance(data, CountsBatches):
        return
    batches, overfit = {}, trainer.overfit_batches  # type: ignore[attr-defined]
    for split, length in data.batch_counts(trainer).items():
        limit = getattr(trainer, f"limit_{split}_batches")
        batches[split] = min(length, limit) if isinstance(limit, int) else int(length * limit)
        if length and not batches[split]:
            key = "overfit_batches" if overfit and split != "test" else f"limit_{split}_batches"
            least = math.ceil(1000 / length) / 1000
            problem = f"less than one of {length} batches ({split})"
            raise config_error(
                f"trainer.{key}", limit, problem, f"a share from {least} to 1.0, or a whole number of batches"
            )
    interval, every = trainer.val_check_interval, trainer.check_val_every_n_epoch
    if isinstance(interval, int) and every is not None and interval > batches["train"]:
        problem = f"an epoch has {batches['train']} batches"
        accepted = f"1 to {batches['train']}, or any number with +trainer.check_val_every_n_epoch=null"
        raise config_error("trainer.val_check_interval", interval, problem, accepted)
