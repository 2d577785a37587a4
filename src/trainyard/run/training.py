"""A run, from its config to its result."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.memory import is_oom_error
from omegaconf import DictConfig

from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.callbacks.lifecycle import fit_callbacks_only
from trainyard.callbacks.progress_bar import ProgressReporter
from trainyard.callbacks.run_length import check_batches
from trainyard.callbacks.tensorboard import write_hparams
from trainyard.config.composition import resolved
from trainyard.config.trusted_paths import check_callback_states
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import fingerprint
from trainyard.data.loading.statistics import majority_baseline
from trainyard.io.errors import config_error
from trainyard.io.files import relative
from trainyard.run.compatibility import check_model_fits_data
from trainyard.run.distributed.launch import count_processes, run_in_processes
from trainyard.run.metrics_csv import TABLE, truncate_table
from trainyard.run.run import Run
from trainyard.run.run_builder import run_builder
from trainyard.run.run_result import RunResult
from trainyard.run.summary import choices, scores

log = logging.getLogger(__name__)


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
    cfg = resolved(cfg)
    with Run.start(cfg, resume) as run:
        run_builder.get().check(cfg)
        if (count := count_processes(cfg)) > 1:
            run_in_processes(fit_and_test, cfg, run, count)
        else:
            fit_and_test(cfg, run)
    status = "pruned" if run.pruned else "completed"
    return RunResult(run.dir, status, run.result["metrics"], float(run.result["objective"]["value"]))


def fit_and_test(cfg: DictConfig, run: Run) -> None:
    """Train and test in this process; `run.result` gets what `result.json` contains."""
    build = run_builder.get()
    L.seed_everything(cfg.seed, verbose=False)
    data = build.data(cfg)
    check_model_fits_data(cfg, data.spec)
    data.report["fingerprint"] = fingerprint(data)
    run.result = {"data": data.report}  # of a run that is interrupted too
    model = build.model(cfg, data)
    last = run.last_checkpoint
    if run.first and last:
        stored = torch.load(last, weights_only=True, map_location="cpu", mmap=True)
        check_callback_states(stored.get("callbacks") or {}, last)
        log.info("going on from %s, after step %d", relative(last), stored["global_step"])
    trainer = build.trainer(cfg, run)
    check_batches(trainer, data)
    log.info("%s", choices(cfg, data, model, trainer))
    run.begin_training(cfg)
    if run.first and last:
        truncate_table(run.dir / TABLE, stored["global_step"])
    with suggest_smaller_batch(trainer, data):
        with fit_callbacks_only(trainer):
            trainer.fit(model, data, ckpt_path=last, weights_only=True)
        result, curves = evaluate(cfg, run, trainer, data)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    run.result = {**result, "parameters": parameters, "data": data.report}
    write_hparams(trainer, cfg, run.result)
    log.info("%s", scores(run.result, time.monotonic() - run.started, run.dir, curves))


@contextmanager
def suggest_smaller_batch(trainer: L.Trainer, data: DataModule) -> Iterator[None]:
    """Say how to train with less memory where torch runs out of it.

    Raises:
        ConfigError: a batch does not fit into memory; the message names the overrides that halve it and keep the
            number of examples of an optimizer step.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)):
            raise
        size, batches = data.batch_size, trainer.accumulate_grad_batches
        halved = f"data.batch_size={size // 2} trainer.accumulate_grad_batches={2 * batches}"
        accepted = halved if size > 1 else "a smaller model"
        raise config_error("data.batch_size", size, "not enough memory", accepted) from error


def evaluate(
    cfg: DictConfig, run: Run, trainer: L.Trainer, data: DataModule
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Test the best checkpoint, once; a pruned run is not tested.

    Returns:
        What `result.json` says of the run, and of each score its values by epoch.
    """
    trainer.strategy.barrier()  # the first process writes the checkpoints that all read
    best_path = run.dir / "checkpoints" / "best.ckpt"
    best, last = (
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # but a few numbers are looked at
        for path in (best_path, best_path.with_name("last.ckpt"))
    )
    run.pruned = any(state.get("pruned", False) for state in last["callbacks"].values())
    test: Mapping[str, float] = {}
    if not run.pruned:
        [test] = trainer.test(trainer.lightning_module, data, ckpt_path=best_path, verbose=False, weights_only=True)
    if broken := [name for name, value in best["metrics"].items() if not math.isfinite(value)]:
        raise FloatingPointError(f"{broken[0]} is {best['metrics'][broken[0]]}\n  try a smaller optimizer.lr")
    metrics = {**best["metrics"], **{name: float(value) for name, value in test.items()}}
    result = {
        "objective": {"name": cfg.objective, "value": metrics[cfg.objective], "epoch": best["epoch"] + 1},
        "metrics": metrics,
        "baseline": majority_baseline(data.splits, data.classes),
        "epochs": last["epoch"] + 1,
        **recovered(last),
        "checkpoint": str(best_path.relative_to(run.dir)),
    }
    return result, last["callbacks"].get(ProgressReporter.state_key, {}).get("curves", {})


def recovered(last: Mapping[str, Any]) -> dict[str, Any]:
    """Return the number of skipped steps, from the last checkpoint, if any were skipped."""
    counts = last["callbacks"].get(FiniteLoss.state_key, {})
    found = {name: count for name, count in counts.items() if count}
    return {"recovered": found} if found else {}
