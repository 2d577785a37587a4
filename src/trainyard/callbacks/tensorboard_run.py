"""What TensorBoard shows about a run as a whole: config, provenance, hyperparameters and the layout of its charts."""

import json
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from trainyard.callbacks.lifecycle import remove_callback
from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.config.arguments import has_backbone
from trainyard.config.composition import config_values

PACKAGES = ("torch", "lightning", "torchvision", "timm", "hydra-core", "numpy")
GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "trainer", "accelerator")
FIRST_COLUMNS = {"model", "optimizer", "optimizer.lr"}
LAYOUT = {
    "train and validation": {
        "loss": ["Multiline", ["train/loss", "val/loss"]],
        "accuracy": ["Multiline", ["train/acc", "val/acc"]],
    },
    "optimization": {
        "learning rate": ["Multiline", ["lr/.*"]],
        "gradient norm": ["Multiline", ["gradient/norm"]],
    },
}


class ChartLayout(L.Callback):
    """Shows training and validation of a metric in one chart, under Custom Scalars."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        remove_callback(trainer, self)
        if writer := tensorboard_writer(trainer):
            writer.add_custom_scalars(LAYOUT)


class RunDescription(L.Callback):
    """Shows the resolved config and the provenance in the run directory `folder`, under Text."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        remove_callback(trainer, self)
        if writer := tensorboard_writer(trainer):
            writer.add_text("config", code_block((self.folder / "config.yaml").read_text(encoding="utf-8")))
            origin = json.loads((self.folder / "provenance.json").read_text(encoding="utf-8"))
            origin["packages"] = {name: version for name, version in origin["packages"].items() if name in PACKAGES}
            (origin["git"] or {}).pop("uncommitted_patch", None)  # which may be long
            writer.add_text("provenance", code_block(OmegaConf.to_yaml(origin)))


def code_block(text: str) -> str:
    """Return a text as a code block in Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def write_hparams(trainer: L.Trainer, cfg: DictConfig, result: dict[str, Any]) -> None:
    """Write the run as one session of the HParams tab: its choices, their values and the final scores.

    The batch size is the one that was used, which small data reduces. The scores are named `result/...`, because the
    last point of `val/acc` belongs to the last epoch, not to the best.
    """
    from torch.utils.tensorboard.summary import hparams

    writer = tensorboard_writer(trainer)
    if writer is None:
        return
    scores = {f"result/{name.replace('/', '_')}": value for name, value in result["metrics"].items()}
    for name, value in scores.items():
        writer.add_scalar(name, value, trainer.global_step)
    batch_size = result["data"].get("batch_size") or cfg.data.get("batch_size") or cfg.data.get("default_batch_size")
    columns, *session = hparams({**hyperparameters(cfg), "data.batch_size": batch_size}, scores)
    move_to_front(columns, FIRST_COLUMNS | {override.partition("=")[0].lstrip("+") for override in cfg.run.overrides})
    for summary in (columns, *session):
        writer.file_writer.add_summary(summary)
    writer.flush()


def move_to_front(columns: Any, names: set[str]) -> None:
    """Move some columns to the front of TensorBoard's table, where it shows those marked as different between runs."""
    stored = columns.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(stored.content)
    for column in content.experiment.hparam_infos:
        column.differs = column.name in names
    stored.content = content.SerializeToString()


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Return the option of each config group, and every value of model, data, optimizer and schedule."""
    finetune = ["finetune"] if has_backbone(cfg) else []
    options = {group: cfg.run.choices[group] for group in (*GROUPS, *finetune)}
    parts = OmegaConf.masked_copy(cfg, ["model", "data", "augment", "optimizer", "scheduler", *finetune, "seed"])
    values = {name: value for name, value in config_values(parts) if not name.rpartition(".")[2].startswith("_")}
    values |= {f"trainer.{key}": cfg.trainer.get(key) for key in ("max_epochs", "max_steps")}
    simple = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in values.items() if v is not None}
    return {**options, **simple}
