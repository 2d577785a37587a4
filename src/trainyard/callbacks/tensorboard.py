"""TensorBoard: the logger, the time limit for figures, and the texts, charts and HParams of a run."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard.summary import scalar

from trainyard.config.accepted import has_backbone
from trainyard.config.composition import config_values
from trainyard.config.objective import metric_name

log = logging.getLogger(__name__)

PACKAGES = ("torch", "lightning", "torchvision", "timm", "hydra-core", "numpy")
GROUPS = ("model", "data", "augment", "optimizer", "scheduler", "trainer", "accelerator")
FIRST_COLUMNS = {"model", "optimizer", "optimizer.lr"}
OPTIMIZATION = {
    "learning rate": ["Multiline", ["lr/.*"]],
    "gradient norm": ["Multiline", ["gradient/norm"]],
}


class RobustTensorBoardLogger(TensorBoardLogger):
    """Creates its folder again if it is removed during a run, which then loses its earlier curves but continues.

    TensorBoard's writer opens its file for each record, so an existing folder is all it needs.
    """

    @property
    def experiment(self) -> Any:
        """The SummaryWriter."""
        Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        return super().experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers or 0-dimensional tensors; a dict of them becomes one chart."""
        if any(isinstance(value, dict) for value in metrics.values()):
            super().log_metrics(metrics, step)
            return
        write_scalars(self.experiment, metrics, step)

    def log_hyperparams(self, *arguments: Any, **more: Any) -> None:
        """Do nothing: `write_hparams` logs those of the config, at the end."""


def write_scalars(writer: Any, metrics: Mapping[str, Any], step: int | None) -> None:
    """Write numbers in one record, which takes no longer than a single number."""
    summaries = [scalar(name, float(value)) for name, value in metrics.items()]
    values = [value for summary in summaries for value in summary.value]
    writer._get_file_writer().add_summary(Summary(value=values), step)


def tensorboard_writer(trainer: L.Trainer) -> Any | None:
    """Return torch's SummaryWriter of the run's TensorBoard logger on rank 0, else `None`."""
    if not trainer.is_global_zero:
        return None
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def current_step(trainer: L.Trainer) -> int:
    """Return the step at which Lightning logs the current batch, or the last; it counts batches, not optimizer steps.

    The two differ if several optimizers make a step for each batch; see `trainyard.run.epoch_loop.EpochLoop`.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    return int(loop.logged_steps) - 1


def is_logged_step(trainer: L.Trainer) -> bool:
    """Return whether values are logged for the current batch, as Lightning's slower check does."""
    interval: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(interval) and ((current_step(trainer) + 1) % interval == 0 or trainer.should_stop)


def purge_events(trainer: L.Trainer, step: int) -> None:
    """Make TensorBoard drop all points from an optimizer step on, which a resumed run logs again; rank 0 calls it.

    This is what `SummaryWriter(purge_step=step)` writes, but the logger is built before the step is known. TensorBoard
    reads event files in the order of their names, which start with the second of their creation; so the new file must
    not be created within the same second as an earlier one.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            while any(Path(logger.log_dir).glob(f"events.out.tfevents.{int(time.time()):010}.*")):
                time.sleep(0.02)
            marker = Event(step=step, session_log=SessionLog(status=SessionLog.START))
            logger.experiment.file_writer.add_event(marker)


class DrawingBudget(L.Callback):
    """Limits the time for figures and histograms to a share of the run's time, and logs how many were skipped.

    Without this callback in the config, everything is drawn.

    Args:
        share: maximum share of the time since the run started, from 0 to 1, for all figures together.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.started = time.monotonic()
        self.spent = 0.0
        self.skipped = 0

    def allows(self, seconds: float, part: float = 1.0) -> bool:
        """Whether drawing for this many seconds stays within a part (0 to 1) of the budget."""
        return self.spent + seconds <= part * self.share * (time.monotonic() - self.started)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Subtract the time spent in this context from the budget."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - started

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "test" and self.skipped and trainer.is_global_zero:
            reason = "they would take more than %.2g %% of the run (to draw them: callbacks=pictures)"
            log.info(f"figures    %d skipped: {reason}", self.skipped, 100 * self.share)


def find_drawing_budget(trainer: L.Trainer) -> DrawingBudget:
    """Return the budget of a run; without one, an unlimited budget."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    budgets = (callback for callback in callbacks if isinstance(callback, DrawingBudget))
    return next(budgets, DrawingBudget(float("inf")))


class ChartLayout(L.Callback):
    """Shows the training and validation curves of the loss and of the objective in one chart, under Custom Scalars."""

    def __init__(self, objective: str = "val/loss") -> None:
        self.metrics = dict.fromkeys(["loss", metric_name(objective)])

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if writer := tensorboard_writer(trainer):
            charts = {metric: ["Multiline", [f"train/{metric}", f"val/{metric}"]] for metric in self.metrics}
            writer.add_custom_scalars({"train and validation": charts, "optimization": OPTIMIZATION})


class RunDescription(L.Callback):
    """Shows the resolved config and the provenance in the run directory `folder`, under Text."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if writer := tensorboard_writer(trainer):
            writer.add_text("config", format_code_block((self.folder / "config.yaml").read_text(encoding="utf-8")))
            origin = json.loads((self.folder / "provenance.json").read_text(encoding="utf-8"))
            origin["packages"] = {name: version for name, version in origin["packages"].items() if name in PACKAGES}
            (origin["git"] or {}).pop("uncommitted_patch", None)  # may be long
            writer.add_text("provenance", format_code_block(OmegaConf.to_yaml(origin)))


def format_code_block(text: str) -> str:
    """Return a string as a code block in Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def write_hparams(trainer: L.Trainer, cfg: DictConfig, result: dict[str, Any]) -> None:
    """Write the run to the HParams tab: its options, hyperparameters and final scores.

    The batch size is the one that was used, which is smaller for small data. The scores are named `result/...`, because
    the last point of `val/acc` belongs to the last epoch, not to the best.
    """
    from torch.utils.tensorboard.summary import hparams

    writer = tensorboard_writer(trainer)
    if writer is None:
        return
    scores = {f"result/{name.replace('/', '_')}": value for name, value in result["metrics"].items()}
    for name, value in scores.items():
        writer.add_scalar(name, value, trainer.global_step)
    batch_size = result["data"].get("batch_size") or cfg.data.get("batch_size") or cfg.data.get("default_batch_size")
    batch = {"data.batch_size": batch_size} if batch_size else {}
    columns, *session = hparams({**collect_hyperparameters(cfg), **batch}, scores)
    move_to_front(columns, FIRST_COLUMNS | {override.partition("=")[0].lstrip("+") for override in cfg.run.overrides})
    for summary in (columns, *session):
        writer.file_writer.add_summary(summary)
    writer.flush()


def move_to_front(columns: Any, names: set[str]) -> None:
    """Mark columns as different between runs, which TensorBoard shows first."""
    stored = columns.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(stored.content)
    for column in content.experiment.hparam_infos:
        column.differs = column.name in names
    stored.content = content.SerializeToString()


def collect_hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Return the option of each config group, and all values of model, data, optimizer and schedule."""
    finetune = ["finetune"] if has_backbone(cfg) else []
    groups = [group for group in (*GROUPS, *finetune) if cfg.run.choices.get(group) is not None]
    options = {group: cfg.run.choices[group] for group in groups}
    built = [group for group in groups if group not in ("trainer", "accelerator")]
    parts = OmegaConf.masked_copy(cfg, [*built, "seed"])
    values = {name: value for name, value in config_values(parts) if not name.rpartition(".")[2].startswith("_")}
    values |= {f"trainer.{key}": cfg.trainer.get(key) for key in ("max_epochs", "max_steps")}
    simple = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in values.items() if v is not None}
    return {**options, **simple}
