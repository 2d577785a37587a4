"""The run as one session of TensorBoard's HParams tab."""

from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.compatibility import has_backbone
from trainyard.config import leaves

GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "trainer", "accelerator")
FOREMOST = {"model", "optimizer", "optimizer.lr"}


def write_hparams(trainer: L.Trainer, cfg: DictConfig, result: dict[str, Any]) -> None:
    """Write the choices, their numbers and the run's final scores, into the same event file as the curves.

    The batch size is the one that was used, which small data reduces. The scores go under `result/`, since the
    last point of `val/acc` is that of the last epoch, not of the best.
    """
    from torch.utils.tensorboard.summary import hparams

    writer = tensorboard_writer(trainer)
    if writer is None:
        return
    final = {f"result/{name.replace('/', '_')}": value for name, value in result["metrics"].items()}
    for name, value in final.items():
        writer.add_scalar(name, value, trainer.global_step)
    batch_size = result["data"].get("batch_size") or cfg.data.get("batch_size") or cfg.data.get("default_batch_size")
    columns, *session = hparams({**hyperparameters(cfg), "data.batch_size": batch_size}, final)
    put_first(columns, FOREMOST | {override.partition("=")[0].lstrip("+") for override in cfg.run.overrides})
    for summary in (columns, *session):
        writer.file_writer.add_summary(summary)
    writer.flush()


def put_first(columns: Any, names: set[str]) -> None:
    """Have TensorBoard's table begin with some columns: it puts those first that are said to differ between runs."""
    stored = columns.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(stored.content)
    for column in content.experiment.hparam_infos:
        column.differs = column.name in names
    stored.content = content.SerializeToString()


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Return what a person chose: the option of each group, and every value of model, data, optimizer and schedule."""
    learns = ["finetune"] if has_backbone(cfg) else []
    chosen = {group: cfg.run.choices[group] for group in (*GROUPS, *learns)}
    parts = OmegaConf.masked_copy(cfg, ["model", "data", "augment", "optimizer", "scheduler", *learns, "seed"])
    values = {name: value for name, value in leaves(parts) if not name.rpartition(".")[2].startswith("_")}
    values |= {f"trainer.{key}": cfg.trainer.get(key) for key in ("max_epochs", "max_steps")}
    numbers = {name: value for name, value in values.items() if value is not None}
    return {**chosen, **{k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in numbers.items()}}
