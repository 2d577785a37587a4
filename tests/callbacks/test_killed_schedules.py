"""A killed run resumes bitwise, with every learning-rate schedule and at every point."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from tests.run.interrupted_runs import curves
from trainyard.callbacks import checkpoints
from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.config.composition import CONF_DIR, compose
from trainyard.models.supervised import SupervisedModel
from trainyard.run.training import train

SCHEDULES = sorted(path.stem for path in (CONF_DIR / "scheduler").glob("*.yaml"))
OPTIMIZERS = sorted(path.stem for path in (CONF_DIR / "optimizer").glob("*.yaml"))
COMMON = (
    *("model=mlp", "model.hidden_dims=[8]", "model.dropout=0.2", "data.batch_size=256", "optimizer.lr=0.05"),
    *("trainer.max_epochs=4", "trainer.log_every_n_steps=1", "callbacks=none", "accelerator=cpu"),
    "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]",
    "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor",
)
EACH_STEP = "checkpoint.every_steps=1"
PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "+scheduler.threshold=0.1")  # two drops in four epochs
PLANS: dict[str, tuple[str, ...]] = {
    "epochs": (),  # no checkpoint within an epoch
    "steps": (EACH_STEP,),
    "half": (EACH_STEP, "+trainer.val_check_interval=0.5"),
    "second": (EACH_STEP, "+trainer.check_val_every_n_epoch=2"),
    "accumulate": (EACH_STEP, "trainer.accumulate_grad_batches=2"),
    "average": (EACH_STEP, "ema_decay=0.9"),
    "max_steps": (EACH_STEP, "trainer.max_epochs=null", "+trainer.max_steps=18"),
    "stopping": (
        EACH_STEP,
        "callbacks=early_stopping",
        "callbacks.speed=null",
        "callbacks.early_stopping.patience=1",
        "objective=val/loss",
    ),
}

Point = tuple[Any, str, int]
POINTS: list[Point] = [  # owner and name of a function, and the number of calls before the kill
    (SupervisedModel, "training_step", 3),
    (LastCheckpoint, "on_train_epoch_end", 1),
    (SupervisedModel, "validation_step", 1),
    (LastCheckpoint, "on_train_epoch_start", 2),
    (checkpoints, "flush_loggers", 2),
    (SupervisedModel, "on_validation_end", 1),
]


def kill_after(owner: Any, name: str, calls: int) -> None:
    """Let this process kill itself after a number of calls of a function."""
    function: Callable[..., Any] = getattr(owner, name)
    left = iter(range(calls - 1, -1, -1))

    def counted(*arguments: Any, **others: Any) -> Any:
        result = function(*arguments, **others)
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


def run(cfg: DictConfig, point: Point | None) -> None:
    os.setpgrp()
    torch.set_num_threads(1)  # threads do not survive a fork
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    if point is not None:
        kill_after(*point)
    train(cfg)


def start(cfg: DictConfig, point: Point | None = None) -> bool:
    """Train in a process; return whether it ended before it was killed."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(cfg, point))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def values(node: Any, folder: Path, path: str = "") -> dict[str, Any]:
    """Return all values of a checkpoint by their path, without the name of the run's directory."""
    if not isinstance(node, dict | list | tuple):
        return {path: node.replace(str(folder), "") if isinstance(node, str) else node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    below = [values(value, folder, f"{path}/{str(key).replace(str(folder), '')}") for key, value in items]
    return {place: value for found in below for place, value in found.items()}


def equal(one: Any, other: Any) -> bool:
    return torch.is_tensor(other) and torch.equal(one, other) if torch.is_tensor(one) else bool(one == other)


def assert_same(whole: Path, parts: Path) -> None:
    """Compare the results of two runs bit by bit."""
    for name in ("last.ckpt", "best.ckpt"):
        folders = (whole, parts)
        one, other = (values(torch.load(home / "checkpoints" / name, weights_only=True), home) for home in folders)
        assert one.keys() == other.keys()
        assert {place: (one[place], other[place]) for place in one if not equal(one[place], other[place])} == {}
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()
    assert curves(whole) == curves(parts)
    ends = [json.loads((folder / "result.json").read_text()) for folder in (whole, parts)]
    assert [ends[0][key] for key in ("metrics", "objective", "epochs")] == [
        ends[1][key] for key in ("metrics", "objective", "epochs")
    ]


def check(folder: Path, *words: str, points: Sequence[Point] = POINTS) -> None:
    """Train without interruption, and again with a kill at each point that is reached."""
    whole, parts = (compose([f"hydra.run.dir={folder / name}", *COMMON, *words]) for name in ("whole", "parts"))
    assert start(whole)
    reached = [not start(parts, point) for point in points]
    if reached[-1]:
        assert start(parts)
    assert sum(reached) > len(points) // 2
    assert (folder / "parts" / "run.log").read_text().count("resuming from") >= (len(points) + 1) // 2
    assert_same(folder / "whole", folder / "parts")


def words_of(schedule: str) -> tuple[str, ...]:
    return PLATEAU if schedule == "plateau" else (f"scheduler={schedule}",)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_resumes_bitwise(schedule: str, tmp_path: Path) -> None:
    """Most schedules are killed at every second point; the slow tests use all points."""
    points = POINTS if schedule == "plateau" else POINTS[SCHEDULES.index(schedule) % 2 :: 2]
    check(tmp_path, *words_of(schedule), EACH_STEP, points=points)


@pytest.mark.parametrize("plan", [name for name in PLANS if name != "steps"])
def test_plateau_resumes_bitwise_in_every_plan(plan: str, tmp_path: Path) -> None:
    check(tmp_path, *PLATEAU, *PLANS[plan])


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "plateau"])
def test_every_schedule_resumes_bitwise_in_every_plan(schedule: str, plan: str, tmp_path: Path) -> None:
    check(tmp_path, *words_of(schedule), *PLANS[plan])


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_resumes_bitwise(optimizer: str, tmp_path: Path) -> None:
    check(tmp_path, f"optimizer={optimizer}", EACH_STEP)
