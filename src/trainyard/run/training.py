"""A run, from its config to its result."""

import logging
import math
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins import DoublePrecision
from lightning.pytorch.utilities.memory import is_oom_error
from omegaconf import DictConfig

from trainyard.callbacks.checkpoint_files import BEST
from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.callbacks.progress_bar import ProgressReporter
from trainyard.callbacks.tensorboard import purge_events, write_hparams
from trainyard.config.accepted import can_set, remove_unused
from trainyard.config.composition import describe_replaced, resolve
from trainyard.config.objective import metric_name
from trainyard.config.task_option import choose_task
from trainyard.config.trusted_paths import check_callback_states
from trainyard.data.loading.spec import ReportsData, target_kind
from trainyard.io.errors import config_error, join_limited
from trainyard.io.files import relative
from trainyard.run.compatibility import check_config, check_model_fits_data, check_validation, missing_method
from trainyard.run.distributed.launch import count_processes, run_in_processes
from trainyard.run.epoch_loop import logged_steps
from trainyard.run.metrics_csv import TABLE, truncate_table
from trainyard.run.precision import choose_precision
from trainyard.run.run import Run
from trainyard.run.run_builder import build_data, build_model_to_train, build_trainer
from trainyard.run.run_length import check_batches
from trainyard.run.run_result import RunResult
from trainyard.run.summary import format_choices, format_scores
from trainyard.run.threads import chosen_threads

log = logging.getLogger(__name__)

record_trained: ContextVar[Callable[[DictConfig, Run], None] | None] = ContextVar("record_trained", default=None)
"""Records a run whose model is trained already, with those of other runs (see `sweeps.stacked`)."""


def train(cfg: DictConfig, resume: bool = False) -> RunResult:
    """Train, test and record one experiment.

    Args:
        cfg: as `trainyard.config.composition.compose` or `python train.py` composes it.
        resume: resume from the last checkpoint in its directory, even if that run is completed or its config differs.

    Returns:
        The result; its `objective` is the best validation score, of the metric that `cfg.objective` names.

    Raises:
        ConfigError: something in the config cannot work; then no directory is left behind.
    """
    cfg = resolve(cfg)
    remove_unused(cfg)
    with Run.start(cfg, resume) as run:
        if record := record_trained.get():
            record(cfg, run)
        else:
            start_training(cfg, run, resume)
    result = run.result
    return RunResult(run.dir, result["status"], result["metrics"], float(result["objective"]["value"]))


def start_training(cfg: DictConfig, run: Run, resume: bool) -> None:
    """Check the config, then train and test in one process or several."""
    check_config(cfg)
    if not resume:
        for line in describe_replaced([f"{group}={option}" for group, option in cfg.run.choices.items()]):
            log.info("%s", line)
    if (count := count_processes(cfg)) > 1:
        run_in_processes(fit_and_test, cfg, run, count)
    else:
        fit_and_test(cfg, run)


def fit_and_test(cfg: DictConfig, run: Run) -> None:
    """Train and test in this process, and set `run.result`."""
    L.seed_everything(cfg.seed, verbose=False)
    data = build_data(cfg)
    check_model_fits_data(cfg, data)
    choose_task(cfg, target_kind(data))
    run.result = {"data": report_data(data)}  # interrupted runs record it too
    choose_precision(cfg, data)
    model = build_model_to_train(cfg, data)
    check_validation(cfg, model, data)
    checkpoint = run.resume_checkpoint
    if run.is_rank_zero and checkpoint:
        stored = load_checkpoint(checkpoint)
        check_callback_states(stored.get("callbacks") or {}, checkpoint)
        log.info("resuming from %s, after step %d", relative(checkpoint), stored["global_step"])
    trainer = build_trainer(cfg, run)
    if isinstance(trainer.precision_plugin, DoublePrecision):
        trainer.precision_plugin.convert_module(model)  # Lightning converts it after it has loaded float64 weights
    check_batches(trainer, data)
    log.info("%s", format_choices(cfg, data, model, trainer))
    with (
        chosen_threads(trainer, model, data, run.dir if checkpoint else None),
        suggest_smaller_batch(cfg, trainer, data),
    ):
        run.begin_training(cfg)
        if run.is_rank_zero and checkpoint:  # the steps after the checkpoint are logged again
            truncate_table(run.dir / TABLE, logged_steps(stored))
            purge_events(trainer, logged_steps(stored))
        trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
        result = evaluate(cfg, run.dir, trainer, data)
    reporter = trainer.progress_bar_callback
    assert isinstance(reporter, ProgressReporter)
    record_result(cfg, run, trainer, model, result, reporter.curves)


def record_result(
    cfg: DictConfig,
    run: Run,
    trainer: L.Trainer,
    model: L.LightningModule,
    result: dict[str, Any],
    curves: Mapping[str, Sequence[float]],
) -> None:
    """Set `run.result`, write it to TensorBoard, and log it with the curves of the scores."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    run.result = {**result, "parameters": parameters, "data": run.result["data"]}
    write_hparams(trainer, cfg, run.result)
    known = {name: mode for mode, names in cfg.metric_modes.items() for name in names}
    modes = {**known, metric_name(cfg.objective): cfg.objective_mode}
    log.info("%s", format_scores(run.result, time.monotonic() - run.started, run.dir, curves, modes))


def report_data(data: L.LightningDataModule) -> dict[str, Any]:
    """Check the data, log its warnings and return facts about it for the result, if it reports them."""
    if not isinstance(data, ReportsData):
        return {}
    data.check()
    for warning in data.warnings():
        log.warning("%s", warning)
    return data.facts()


def load_checkpoint(path: Any) -> dict[str, Any]:
    """Load a checkpoint on the CPU; memory-mapped, since only a few numbers are read."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # type: ignore[no-any-return]


@contextmanager
def suggest_smaller_batch(cfg: DictConfig, trainer: L.Trainer, data: L.LightningDataModule) -> Iterator[None]:
    """Turn an out-of-memory error into a ConfigError that suggests half the batch size and twice the accumulation."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)):
            raise
        size, batches = getattr(data, "batch_size", None), trainer.accumulate_grad_batches
        if not isinstance(size, int) or not can_set(cfg, "data", "batch_size"):
            raise config_error("data", cfg.run.choices.data, "not enough memory", "smaller batches") from error
        halved = f"data.batch_size={size // 2} trainer.accumulate_grad_batches={2 * batches}"
        accepted = halved if size > 1 else "a smaller model"
        raise config_error("data.batch_size", size, "not enough memory", accepted) from error


def evaluate(cfg: DictConfig, folder: Path, trainer: L.Trainer, data: L.LightningDataModule) -> dict[str, Any]:
    """Test the best checkpoint in a run's directory, once, and return the content of `result.json`.

    A pruned run is not tested, nor is a model without `test_step` or data without `test_dataloader`.
    """
    trainer.strategy.barrier()  # rank 0 writes the checkpoints that all read
    best_path = folder / "checkpoints" / "best.ckpt"
    best, last = load_checkpoint(best_path), load_checkpoint(best_path.with_name("last.ckpt"))
    metrics = finite_metrics(best["metrics"], cfg.objective)
    pruned = any(state.get("pruned", False) for state in last["callbacks"].values())
    missing = missing_method(trainer.lightning_module, data, "test_step", "test_dataloader")
    if missing and not pruned:
        log.info("test       none: %s", missing)
    elif not pruned:
        tests = trainer.test(trainer.lightning_module, data, ckpt_path=best_path, verbose=False, weights_only=True)
        metrics |= finite_metrics(ChainMap(*map(dict, tests)))
    skipped = {name: count for name, count in last["callbacks"].get(FiniteLoss.state_key, {}).items() if count}
    result = result_of(cfg, metrics, best["epoch"] + 1, last["epoch"] + 1, data)
    return {**result, "status": "pruned" if pruned else "completed", **({"recovered": skipped} if skipped else {})}


def result_of(
    cfg: DictConfig, metrics: Mapping[str, float], best_epoch: int, epochs: int, data: L.LightningDataModule
) -> dict[str, Any]:
    """Return the content of `result.json` for the metrics of the best epoch and of the test."""
    return {
        "status": "completed",
        "objective": {"name": cfg.objective, "value": metrics[cfg.objective], "epoch": best_epoch},
        "metrics": dict(metrics),
        "baseline": data.baseline() if isinstance(data, ReportsData) else {},
        "epochs": epochs,
        "checkpoint": str(Path("checkpoints") / BEST),
    }


def finite_metrics(metrics: Mapping[str, Any], objective: str = "") -> dict[str, float]:
    """Return the metrics that are finite numbers, and log the names of the others.

    Raises:
        FloatingPointError: a loss or the objective is not finite.
    """
    values = {name: float(value) for name, value in metrics.items()}
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if failed := [name for name in broken if name == objective or "loss" in name]:
        raise FloatingPointError(f"{failed[0]} is {values[failed[0]]}\n  try a smaller learning rate")
    if broken:
        log.warning("not recorded, because they are not finite: %s", join_limited(broken))
    return {name: value for name, value in values.items() if name not in broken}
