"""Which jobs of a sweep can be stacked, and why others cannot."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.config.composition import instantiate
from trainyard.io.errors import join_limited
from trainyard.sweeps.job import CHECKPOINTS

NO_PARTNER = "no other job has the same network, data, class of optimizer and length"
MLP, TRANSFER = "trainyard.models.mlp.MLP", "trainyard.models.transfer.TransferModel"
CACHE = "trainyard.models.feature_cache.FeatureCache"
RATE = "trainyard.callbacks.tensorboard_model.LearningRate"
CALLBACKS = (CACHE, "trainyard.callbacks.finite_loss.FiniteLoss")
OMITTED = ("trainyard.callbacks.tensorboard", "trainyard.reports.")  # modules of callbacks that draw and describe
LOGGERS = ("trainyard.run.metrics_table.MetricsTable", "trainyard.callbacks.tensorboard.RobustTensorBoardLogger")
LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "HuberLoss", "FocalLoss", "QuantileLoss")
NAMES = ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
OPTIMIZERS = (*(f"torch.optim.{name}" for name in NAMES), "timm.optim.Lion")  # which update each tensor by itself
TRAINER: dict[str, tuple[Any, ...]] = {  # supported values; () for all
    **dict.fromkeys(("_target_", "max_epochs", "log_every_n_steps", "accelerator"), ()),
    **{"accumulate_grad_batches": (1,), "gradient_clip_val": (None,), "deterministic": (False,)},
    **{"num_sanity_val_steps": (0,), "devices": (1,), "strategy": ("auto",), "precision": ("32-true", "64-true")},
}
SHARED = ("model", "data", "task", "loss", "metrics", "augment", "finetune", "trainer", "callbacks")
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
        if reason := next(obstacles(cfg), None):
            reasons[number] = reason
            continue
        keys = [*SHARED, "objective", "channels_last"]
        if cfg["model"]["_target_"] == TRANSFER and cfg["model"].get("weights") == "none":
            keys.append("seed")  # of the random backbone
        groups.setdefault(repr([cfg["optimizer"]["_target_"], *map(cfg.get, keys)]), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: configs[number].seed)
    reasons |= {group[0]: NO_PARTNER for group in groups.values() if len(group) == 1}
    return [group for group in groups.values() if len(group) > 1], reasons


def read_config(config: DictConfig) -> dict[str, Any]:
    """Return the relevant parts of a job's config as plain Python, with its directory as `folder`."""
    choice = config.hydra.runtime.choices.get("model")
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    groups = {key: to_plain(config.get(key)) for key in (*SHARED, "optimizer", "scheduler", "logger", "sweep")}
    return {**groups, **{key: config[key] for key in VALUES}, "choice": choice, "folder": folder}


def to_plain(node: DictConfig | None) -> dict[str, Any]:
    """Return a part of a config as plain Python; interpolations that only a run can resolve stay text."""
    try:
        return OmegaConf.to_container(node, resolve=True) if node else {}  # type: ignore[return-value]
    except (OmegaConfBaseException, ValueError):
        return OmegaConf.to_container(node)  # type: ignore[return-value]


def obstacles(cfg: dict[str, Any]) -> Iterator[str]:
    """Yield the reasons why a job cannot be stacked."""
    target, loss = cfg["model"]["_target_"], cfg["loss"].get("_target_")
    if target not in (MLP, TRANSFER):
        yield f"model={cfg['choice']} is neither an mlp nor a head on cached features"
    if own := cfg["task"].get("_target_"):
        yield f"its task is {own}"
    if loss and loss.rpartition(".")[2] not in LOSSES:
        yield f"its loss is {loss}"
    if target == TRANSFER:
        yield from head_obstacles(cfg)
    if cfg["data"].get("resident") is False:
        yield "data.resident=false loads each batch separately"
    if not str(schedule := cfg["scheduler"].get("_target_")).startswith("trainyard.optim.schedules."):
        yield f"its schedule is not a function of the step ({schedule})"
    if cfg["optimizer"].get("_target_") not in OPTIMIZERS:
        yield f"its optimizer may combine tensors of several networks ({cfg['optimizer'].get('_target_')})"
    yield from (f"{key}={cfg[key]}" for key in ("compile", "ema_decay") if cfg[key])
    for key, value in cfg["trainer"].items():
        if key not in TRAINER or (TRAINER[key] and value not in TRAINER[key]):
            yield f"trainer.{key}={value}"
    if not isinstance(epochs := cfg["trainer"]["max_epochs"], int) or epochs < 1:
        yield f"trainer.max_epochs={epochs}"
    yield from callback_obstacles(cfg)
    if (pruner := cfg["sweep"].get("pruner")) not in (None, "none"):
        yield f"sweep.pruner={pruner} may stop it before the others"
    if any((cfg["folder"] / "checkpoints" / name).is_file() for name in CHECKPOINTS):
        yield "it resumes from its last checkpoint"


def head_obstacles(cfg: dict[str, Any]) -> Iterator[str]:
    """Yield the reasons why a head cannot be trained on cached features."""
    if cfg["finetune"]["unfreeze"]:
        yield "finetune.unfreeze trains the backbone"
    if cfg["augment"] and instantiate(OmegaConf.create(cfg["augment"])):  # false if it changes nothing
        yield "augment changes the images, so their features are not cached"
    if CACHE not in [part["_target_"] for part in cfg["callbacks"].values() if part]:
        yield "callbacks.feature_cache is missing"


def callback_obstacles(cfg: dict[str, Any]) -> Iterator[str]:
    """Yield the callbacks and loggers that are not supported."""
    if "predictions" in cfg["callbacks"] and not cfg["callbacks"].get("budget", True):
        yield "callbacks.budget=null draws all figures"
    for name, part in cfg["callbacks"].items():
        target = part["_target_"] if part else CACHE
        if target not in CALLBACKS and not target.startswith(OMITTED):
            yield f"callbacks.{name} is not supported in a stack"
        if target == RATE and part.get("logging_interval") != "step":
            yield f"callbacks.{name}.logging_interval={part.get('logging_interval')}"
        if part and "skip_batch" in (part.get("on_nan"), part.get("on_nan") and cfg["on_nan"]):
            yield "on_nan=skip_batch"
    unknown = (name for name, part in cfg["logger"].items() if part and part["_target_"] not in LOGGERS)
    yield from (f"logger.{name} is not supported in a stack" for name in unknown)


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
