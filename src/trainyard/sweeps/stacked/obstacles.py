"""Why a job cannot train as part of a stack."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.sweeps.job import CHECKPOINTS

MLP, TRANSFER = "trainyard.models.mlp.MLP", "trainyard.models.transfer.TransferModel"
CACHE = "trainyard.models.feature_cache.FeatureCache"
RATE = "lightning.pytorch.callbacks.LearningRateMonitor"
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
    "trainyard.tasks.validation_figures.ValidationPredictions",
    "trainyard.tasks.validation_figures.PerClass",
    "trainyard.tasks.validation_figures.ConfusionMatrix",
    "trainyard.tasks.validation_figures.Mistakes",
    "trainyard.tasks.validation_figures.Calibration",
    "trainyard.tasks.validation_figures.RankingCurves",
    "trainyard.tasks.layer_figures.FeatureMaps",
    "trainyard.tasks.layer_figures.Embedding",
)
LOGGERS = ("trainyard.run.metrics_table.MetricsTable", "trainyard.callbacks.tensorboard.RobustTensorBoardLogger")
TRAINER: dict[str, tuple[Any, ...]] = {  # keys of the trainer, and the values that a stack heeds; () for all
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
READ = ("model", "data", "augment", "finetune", "optimizer", "scheduler", "trainer", "callbacks", "logger", "sweep")
VALUES = ("compile", "ema_decay", "objective", "channels_last", "seed")


def read(config: DictConfig) -> dict[str, Any]:
    """Return what is looked at of a job's config, as plain Python, and its directory as `folder`."""
    choice = config.hydra.runtime.choices.get("model")
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    groups = {key: plain(config.get(key)) for key in READ}
    return {**groups, **{key: config[key] for key in VALUES}, "choice": choice, "folder": folder}


def plain(node: DictConfig | None) -> dict[str, Any]:
    """Return a part of a config as plain Python; where it refers to the run itself, as it is written."""
    try:
        return OmegaConf.to_container(node, resolve=True) if node else {}  # type: ignore[return-value]
    except (OmegaConfBaseException, ValueError):
        return OmegaConf.to_container(node)  # type: ignore[return-value]


def obstacle(cfg: dict[str, Any]) -> str | None:
    """Return the first reason for which a job cannot be stacked with any other."""
    looks = (in_model, in_training, in_trainer, in_parts, in_sweep)
    return next((reason for look in looks if (reason := look(cfg))), None)


def in_model(cfg: dict[str, Any]) -> str | None:
    """Return what its model needs that a stack has not."""
    model = cfg["model"]
    if model["_target_"] == MLP:
        return f"model.dropout={model['dropout']} draws otherwise in a stack" if model.get("dropout") else None
    if model["_target_"] != TRANSFER:
        return f"model={cfg['choice']} is not an mlp, nor a head on features that are kept"
    if cfg["finetune"]["thaw"]:
        return "finetune.thaw lets the backbone learn"
    caches = [part for part in cfg["callbacks"].values() if part and part["_target_"] == CACHE]
    return None if caches else "callbacks.feature_cache is not there to keep what the backbone makes"


def in_training(cfg: dict[str, Any]) -> str | None:
    """Return which way of training a stack does not know."""
    changes = [
        name for name, value in cfg["augment"].items() if value and name not in ("_target_", "magnitude", "largest")
    ]
    if changes:
        return f"augment.{changes[0]} changes the examples at random"
    if cfg["data"].get("resident") is False:
        return "data.resident=false reads each batch"
    if cfg["scheduler"]["_target_"].endswith("ReduceLROnPlateau"):
        return "its schedule waits for a plateau"
    if cfg["optimizer"]["_target_"].endswith("LBFGS"):
        return "its optimizer evaluates the loss itself"
    return next((f"{key}={cfg[key]}" for key in ("compile", "ema_decay") if cfg[key]), None)


def in_trainer(cfg: dict[str, Any]) -> str | None:
    """Return a key of the trainer that a stack does not heed."""
    for key, value in cfg["trainer"].items():
        heeded = TRAINER.get(key)
        if heeded is None or (heeded and value not in heeded):
            return f"trainer.{key}={value}"
    epochs = cfg["trainer"]["max_epochs"]
    return None if isinstance(epochs, int) and epochs > 0 else f"trainer.max_epochs={epochs}"


def in_parts(cfg: dict[str, Any]) -> str | None:
    """Return a callback or logger that a stack does not know."""
    for group, known in (("callbacks", CALLBACKS), ("logger", LOGGERS)):
        for name, part in cfg[group].items():
            if part is not None and part["_target_"] not in known:
                return f"{group}.{name} may ask for what a stack has not"
            if part is not None and part["_target_"] == RATE and part.get("logging_interval") != "step":
                return f"{group}.{name}.logging_interval={part.get('logging_interval')}"
    return None


def in_sweep(cfg: dict[str, Any]) -> str | None:
    """Return what the sweep asks of it that a stack cannot do."""
    pruner = cfg["sweep"].get("pruner")
    if pruner not in (None, "none"):
        return f"sweep.pruner={pruner} may end it before the others"
    stopped = any((cfg["folder"] / "checkpoints" / name).is_file() for name in CHECKPOINTS)
    return "it goes on from its last checkpoint" if stopped else None
