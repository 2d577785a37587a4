"""Which jobs of a sweep can be stacked, and why others cannot."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.io.errors import join_limited
from trainyard.sweeps.job import CHECKPOINTS

NO_PARTNER = "no other job has the same network, data, kind of optimizer and length"
MLP, TRANSFER = "trainyard.models.mlp.MLP", "trainyard.models.transfer.TransferModel"
CACHE = "trainyard.models.feature_cache.FeatureCache"
RATE = "lightning.pytorch.callbacks.LearningRateMonitor"
FINITE = "trainyard.callbacks.finite_loss.FiniteLoss"
FIGURES = ("trainyard.callbacks.tensorboard", "trainyard.reports.")  # prefixes of callbacks that a stack can omit
LOGGERS = ("trainyard.run.metrics_table.MetricsTable", "trainyard.callbacks.tensorboard.RobustTensorBoardLogger")
LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "HuberLoss", "FocalLoss", "QuantileLoss")
OPTIMIZERS = {  # that update each tensor by itself
    *(f"torch.optim.{name}" for name in ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD")),
    *(f"torch.optim.{name}" for name in ("NAdam", "RAdam", "RMSprop", "Rprop", "SGD")),
    "timm.optim.Lion",
}
TRAINER: dict[str, tuple[Any, ...]] = {  # supported keys of the trainer and their values; () for all
    "_target_": ("lightning.Trainer",),
    "max_epochs": (),
    "accumulate_grad_batches": (1,),
    "gradient_clip_val": (None,),
    "deterministic": (False,),
    "log_every_n_steps": (),
    "num_sanity_val_steps": (0,),
    "accelerator": (),
    "devices": (1,),
    "strategy": ("auto",),
    "precision": ("32-true", "64-true"),
}
SHARED = ("model", "data", "task", "loss", "metrics", "augment", "finetune", "trainer", "callbacks")
VARIED = ("optimizer", "scheduler", "logger", "sweep")
VALUES = ("compile", "ema_decay", "objective", "objective_mode", "channels_last", "on_nan", "seed")


def group_stackable(configs: Mapping[int, DictConfig]) -> tuple[list[list[int]], dict[int, str]]:
    """Return groups of jobs that can be stacked, and for each other job the reason why it cannot.

    The jobs of a group have the same network, data, class of optimizer, length and callbacks; the options of the
    optimizer, the schedule, the seed and the logger may differ. Jobs with the same order of examples are adjacent.

    Args:
        configs: the config of each job with Hydra's node, by its number.
    """
    reasons: dict[int, str] = {}
    groups: dict[str, list[int]] = {}
    for number, config in configs.items():
        cfg = read_config(config)
        if reason := find_obstacle(cfg):
            reasons[number] = reason
        else:
            groups.setdefault(shared_settings(cfg), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: configs[number].seed)
    reasons |= {group[0]: NO_PARTNER for group in groups.values() if len(group) == 1}
    return [group for group in groups.values() if len(group) > 1], reasons


def read_config(config: DictConfig) -> dict[str, Any]:
    """Return the relevant parts of a job's config as plain Python, with its directory as `folder`."""
    choice = config.hydra.runtime.choices.get("model")
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    groups = {key: to_plain(config.get(key)) for key in (*SHARED, *VARIED)}
    return {**groups, **{key: config[key] for key in VALUES}, "choice": choice, "folder": folder}


def to_plain(node: DictConfig | None) -> dict[str, Any]:
    """Return a part of a config as plain Python; interpolations that only a run can resolve stay text."""
    try:
        return OmegaConf.to_container(node, resolve=True) if node else {}  # type: ignore[return-value]
    except (OmegaConfBaseException, ValueError):
        return OmegaConf.to_container(node)  # type: ignore[return-value]


def shared_settings(cfg: dict[str, Any]) -> str:
    """Return the settings that must be equal within a stack."""
    keys = [*SHARED, "objective", "channels_last"]
    if cfg["model"]["_target_"] == TRANSFER and cfg["model"].get("weights") == "none":
        keys.append("seed")  # of the random backbone
    return repr([cfg["optimizer"]["_target_"], *(cfg[key] for key in keys)])


def find_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the first reason why a job cannot be stacked, or `None`."""
    checks = (model_obstacle, training_obstacle, trainer_obstacle, callback_obstacle, sweep_obstacle)
    return next((reason for check in checks if (reason := check(cfg))), None)


def model_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if the model or its loss cannot be stacked."""
    target, loss = cfg["model"]["_target_"], cfg["loss"].get("_target_")
    if target not in (MLP, TRANSFER):
        return f"model={cfg['choice']} is neither an mlp nor a head on cached features"
    if cfg["task"].get("_target_"):
        return f"its task is {cfg['task']['_target_']}"
    if loss and loss.rpartition(".")[2] not in LOSSES:
        return f"its loss is {loss}"
    if target == MLP:
        return None
    if cfg["finetune"]["unfreeze"]:
        return "finetune.unfreeze trains the backbone"
    if any(value for name, value in cfg["augment"].items() if name not in ("_target_", "magnitude", "largest")):
        return "augment changes the images, so their features are not cached"
    has_cache = any(part["_target_"] == CACHE for part in cfg["callbacks"].values() if part)
    return None if has_cache else "callbacks.feature_cache is missing"


def training_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if loading, schedule or optimizer cannot be stacked."""
    optimizer, schedule = cfg["optimizer"]["_target_"], cfg["scheduler"].get("_target_")
    if cfg["data"].get("resident") is False:
        return "data.resident=false loads each batch separately"
    if not str(schedule).startswith("trainyard.optim.schedules."):
        return f"its schedule is not a function of the step ({schedule})"
    if optimizer not in OPTIMIZERS:
        return f"its optimizer may combine the tensors of several networks ({optimizer})"
    return next((f"{key}={cfg[key]}" for key in ("compile", "ema_decay") if cfg[key]), None)


def trainer_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return a setting of the trainer that a stack does not support."""
    for key, value in cfg["trainer"].items():
        supported = TRAINER.get(key)
        if supported is None or (supported and value not in supported):
            return f"trainer.{key}={value}"
    epochs = cfg["trainer"]["max_epochs"]
    return None if isinstance(epochs, int) and epochs > 0 else f"trainer.max_epochs={epochs}"


def callback_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if a callback or logger is not supported."""
    callbacks = cfg["callbacks"]
    if "predictions" in callbacks and not callbacks.get("budget", True):
        return "callbacks.budget=null requests all figures"
    for name, part in callbacks.items():
        target = part["_target_"] if part else CACHE
        if target not in (CACHE, RATE, FINITE) and not target.startswith(FIGURES):
            return f"callbacks.{name} is not supported in a stack"
        if target == RATE and part.get("logging_interval") != "step":
            return f"callbacks.{name}.logging_interval={part.get('logging_interval')}"
        if target == FINITE and "skip_batch" in (part.get("on_nan"), cfg["on_nan"]):
            return "on_nan=skip_batch"
    others = (name for name, part in cfg["logger"].items() if part and part["_target_"] not in LOGGERS)
    return next((f"logger.{name} is not supported in a stack" for name in others), None)


def sweep_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if the job can be pruned or is resumed."""
    pruner = cfg["sweep"].get("pruner")
    if pruner not in (None, "none"):
        return f"sweep.pruner={pruner} may stop it before the others"
    resumed = any((cfg["folder"] / "checkpoints" / name).is_file() for name in CHECKPOINTS)
    return "it resumes from its last checkpoint" if resumed else None


def split_group(group: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Split a group into parts of about the same size, with at least two jobs each if possible."""
    parts = max(1, min(parts, len(group) // 2))
    ends = [len(group) * part // parts for part in range(parts + 1)]
    return [group[start:end] for start, end in pairwise(ends)]


def format_reasons(reasons: Mapping[int, str]) -> str:
    """Return a line with the jobs that are not stacked, and why."""
    jobs_by_reason: dict[str, list[str]] = {}
    for number, reason in sorted(reasons.items()):
        jobs_by_reason.setdefault(reason, []).append(f"#{number}")
    causes = (f"{join_limited(jobs, 5)}: {reason}" for reason, jobs in jobs_by_reason.items())
    return "not stacked  " + "; ".join(causes)
