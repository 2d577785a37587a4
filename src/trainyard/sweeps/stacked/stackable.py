"""Which jobs of a sweep can be stacked, and why others cannot."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.io.errors import join_limited
from trainyard.sweeps.job import CHECKPOINTS

NO_PARTNER = "no other job has the same network, data, class of optimizer and length"
MLP, TRANSFER = "trainyard.models.mlp.MLP", "trainyard.models.transfer.TransferModel"
CACHE = "trainyard.models.feature_cache.FeatureCache"
RATE = "trainyard.callbacks.tensorboard_model.LearningRate"
CALLBACKS = (CACHE, "trainyard.callbacks.finite_loss.FiniteLoss")
OMITTED = ("trainyard.callbacks.tensorboard", "trainyard.reports.")  # modules of callbacks that draw and describe
MODIFIERS = ("_target_", "magnitude", "border", "largest")  # of augmentations; alone, they change nothing
LOGGERS = ("trainyard.run.metrics_table.MetricsTable", "trainyard.callbacks.tensorboard.RobustTensorBoardLogger")
LOSSES = ("CrossEntropyLoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "HuberLoss", "FocalLoss", "QuantileLoss")
NAMES = ("Adadelta", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
OPTIMIZERS = (*(f"torch.optim.{name}" for name in NAMES), "timm.optim.Lion")  # which update each tensor by itself
TRAINER: dict[str, tuple[Any, ...]] = {  # supported values; () for all
    **dict.fromkeys(("_target_", "max_epochs", "log_every_n_steps", "accelerator"), ()),
    **{"accumulate_grad_batches": (1,), "gradient_clip_val": (None,), "deterministic": (False,)},
    **{"num_sanity_val_steps": (0,), "devices": (1,), "strategy": ("auto",), "precision": ("32-true", "64-true")},
}
SHARED = (
    *("model", "data", "task", "loss", "metrics", "augment", "finetune", "trainer", "callbacks"),
    *("objective", "channels_last"),
)


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
        if reason := next(obstacles(config), None):
            reasons[number] = reason
            continue
        has_random_backbone = config.model._target_ == TRANSFER and config.model.weights == "none"
        keys = [*SHARED, "seed"] if has_random_backbone else SHARED
        shared = [config.optimizer._target_, *(to_plain(config.get(key)) for key in keys)]
        groups.setdefault(repr(shared), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: configs[number].seed)
    reasons |= {group[0]: NO_PARTNER for group in groups.values() if len(group) == 1}
    return [group for group in groups.values() if len(group) > 1], reasons


def to_plain(node: Any) -> Any:
    """Return a part of a config as plain Python; interpolations that only a run can resolve stay text."""
    if not OmegaConf.is_config(node):
        return node
    try:
        return OmegaConf.to_container(node, resolve=True)
    except (OmegaConfBaseException, ValueError):
        return OmegaConf.to_container(node)


def obstacles(config: DictConfig) -> Iterator[str]:
    """Yield the reasons why a job cannot be stacked."""
    target, loss = config.model._target_, config.loss.get("_target_")
    if target not in (MLP, TRANSFER):
        yield f"model={config.hydra.runtime.choices.model} is neither an mlp nor a head on cached features"
    if own := config.task.get("_target_"):
        yield f"its task is {own}"
    if loss and loss.rpartition(".")[2] not in LOSSES:
        yield f"its loss is {loss}"
    if target == TRANSFER:
        yield from head_obstacles(config)
    if config.data.get("resident") is False:
        yield "data.resident=false loads each batch separately"
    schedule, optimizer = (config[key] and config[key].get("_target_") for key in ("scheduler", "optimizer"))
    if not str(schedule).startswith("trainyard.optim.schedules."):
        yield f"its schedule is not a function of the step ({schedule})"
    if optimizer not in OPTIMIZERS:
        yield f"its optimizer may combine tensors of several networks ({optimizer})"
    yield from (f"{key}={config[key]}" for key in ("compile", "ema_decay") if config[key])
    for key, value in config.trainer.items():
        if key not in TRAINER or (TRAINER[key] and value not in TRAINER[key]):
            yield f"trainer.{key}={value}"
    if not isinstance(epochs := config.trainer.max_epochs, int) or epochs < 1:
        yield f"trainer.max_epochs={epochs}"
    yield from callback_obstacles(config)
    if config.sweep.pruner not in (None, "none"):
        yield f"sweep.pruner={config.sweep.pruner} may stop it before the others"
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir) / "checkpoints"
    if any((folder / name).is_file() for name in CHECKPOINTS):
        yield "it resumes from its last checkpoint"


def head_obstacles(config: DictConfig) -> Iterator[str]:
    """Yield the reasons why a head cannot be trained on cached features."""
    if config.finetune.unfreeze:
        yield "finetune.unfreeze trains the backbone"
    if any(value for key, value in (config.augment or {}).items() if key not in MODIFIERS):
        yield "augment changes the images, so their features are not cached"
    if CACHE not in [part._target_ for part in config.callbacks.values() if part]:
        yield "callbacks.feature_cache is missing"


def callback_obstacles(config: DictConfig) -> Iterator[str]:
    """Yield the callbacks and loggers that are not supported."""
    if "predictions" in config.callbacks and not config.callbacks.get("budget", True):
        yield "callbacks.budget=null draws all figures"
    for name, part in config.callbacks.items():
        target = part._target_ if part else CACHE
        if target not in CALLBACKS and not target.startswith(OMITTED):
            yield f"callbacks.{name} is not supported in a stack"
        if target == RATE and part.get("logging_interval") != "step":
            yield f"callbacks.{name}.logging_interval={part.get('logging_interval')}"
        if part and "on_nan" in part and part.on_nan == "skip_batch":
            yield "on_nan=skip_batch"
    unknown = (name for name, part in (config.logger or {}).items() if part and part._target_ not in LOGGERS)
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
