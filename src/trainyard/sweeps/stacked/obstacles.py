"""Reasons why a job cannot be stacked."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.sweeps.job import CHECKPOINTS

MLP, TRANSFER = "trainyard.models.mlp.MLP", "trainyard.models.transfer.TransferModel"
CACHE = "trainyard.models.feature_cache.FeatureCache"
RATE = "trainyard.callbacks.tensorboard_model.LearningRate"
CALLBACKS = (
    "trainyard.callbacks.finite_loss.FiniteLoss",
    CACHE,
    RATE,
    "trainyard.callbacks.tensorboard.RunDescription",
    "trainyard.callbacks.tensorboard_model.ModelGraph",
    "trainyard.callbacks.tensorboard_model.FirstBatch",
    "trainyard.callbacks.tensorboard.DrawingBudget",
    "trainyard.callbacks.tensorboard_model.GradientNorm",
    "trainyard.callbacks.tensorboard_model.Throughput",
    "trainyard.callbacks.tensorboard.ChartLayout",
    "trainyard.callbacks.tensorboard_model.Histograms",
    "trainyard.reports.validation_figures.ValidationPredictions",
    "trainyard.reports.validation_figures.PerClass",
    "trainyard.reports.validation_figures.ConfusionMatrix",
    "trainyard.reports.validation_figures.Mistakes",
    "trainyard.reports.validation_figures.Calibration",
    "trainyard.reports.validation_figures.RankingCurves",
    "trainyard.reports.validation_figures.PredictedAgainstTrue",
    "trainyard.reports.layer_figures.FeatureMaps",
    "trainyard.reports.layer_figures.Embedding",
)
LOGGERS = ("trainyard.run.metrics_table.MetricsTable", "trainyard.callbacks.tensorboard.RobustTensorBoardLogger")
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
GROUPS = (
    *("model", "data", "task", "loss", "metrics", "augment", "finetune", "optimizer", "scheduler"),
    *("trainer", "callbacks", "logger", "sweep"),
)
VALUES = ("compile", "ema_decay", "objective", "objective_mode", "channels_last", "seed")


def read_config(config: DictConfig) -> dict[str, Any]:
    """Return the relevant parts of a job's config as plain Python, with its directory as `folder`."""
    choice = config.hydra.runtime.choices.get("model")
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    groups = {key: to_plain(config.get(key)) for key in GROUPS}
    return {**groups, **{key: config[key] for key in VALUES}, "choice": choice, "folder": folder}


def to_plain(node: DictConfig | None) -> dict[str, Any]:
    """Return a part of a config as plain Python; interpolations that only a run can resolve stay text."""
    try:
        return OmegaConf.to_container(node, resolve=True) if node else {}  # type: ignore[return-value]
    except (OmegaConfBaseException, ValueError):
        return OmegaConf.to_container(node)  # type: ignore[return-value]


def find_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the first reason why a job cannot be stacked, or `None`."""
    checks = (model_obstacle, task_obstacle, training_obstacle, trainer_obstacle, callback_obstacle, sweep_obstacle)
    return next((reason for check in checks if (reason := check(cfg))), None)


def model_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if the model cannot be stacked."""
    model = cfg["model"]
    if model["_target_"] == MLP:
        return (
            f"model.dropout={model['dropout']} would draw other random numbers in a stack"
            if model.get("dropout")
            else None
        )
    if model["_target_"] != TRANSFER:
        return f"model={cfg['choice']} is neither an mlp nor a head on cached features"
    if cfg["finetune"]["unfreeze"]:
        return "finetune.unfreeze trains the backbone"
    caches = [part for part in cfg["callbacks"].values() if part and part["_target_"] == CACHE]
    return None if caches else "callbacks.feature_cache is missing"


def task_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if loss or metrics are not those of a stack: cross-entropy and accuracy."""
    kind = cfg["task"].get("kind", "classification")
    if kind == "auto" and cfg["data"].get("target"):
        return "with task=auto, the target may be numbers; task=classification says that it is not"
    if kind not in ("auto", "classification") or cfg["task"].get("_target_"):
        return f"task={kind} has another loss"
    if cfg["loss"].get("_target_") not in (None, "torch.nn.CrossEntropyLoss"):
        return f"its loss is {cfg['loss']['_target_']}"
    if cfg["metrics"] or cfg["task"].get("threshold") is not None:
        return "metrics and task.threshold are computed from all outputs"
    return None


def training_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if augmentation, loading, schedule or optimizer cannot be stacked."""
    changes = [
        name for name, value in cfg["augment"].items() if value and name not in ("_target_", "magnitude", "largest")
    ]
    if changes:
        return f"augment.{changes[0]} changes the examples randomly"
    if cfg["data"].get("resident") is False:
        return "data.resident=false loads each batch separately"
    if cfg["scheduler"]["_target_"].endswith("ReduceLROnPlateau"):
        return "its schedule depends on the objective"
    if cfg["optimizer"]["_target_"].endswith("LBFGS"):
        return "its optimizer evaluates the loss several times per step"
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
    for group, supported in (("callbacks", CALLBACKS), ("logger", LOGGERS)):
        for name, part in cfg[group].items():
            if part is not None and part["_target_"] not in supported:
                return f"{group}.{name} is not supported in a stack"
            if part is not None and part["_target_"] == RATE and part.get("logging_interval") != "step":
                return f"{group}.{name}.logging_interval={part.get('logging_interval')}"
    return None


def sweep_obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the reason if the job can be pruned or is resumed."""
    pruner = cfg["sweep"].get("pruner")
    if pruner not in (None, "none"):
        return f"sweep.pruner={pruner} may stop it before the others"
    resumed = any((cfg["folder"] / "checkpoints" / name).is_file() for name in CHECKPOINTS)
    return "it resumes from its last checkpoint" if resumed else None
