"""Runs of two processes, and callbacks that record the work of each process or end one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from tests.sweeps.sweeping import REPOSITORY, living, until
from trainyard.callbacks.tensorboard import tensorboard_writer

TINY = ("model=mlp", "model.hidden_dims=[8]", "data.batch_size=16", "trainer.max_epochs=3", "callbacks=none")
DDP_CPU = ("accelerator=ddp_cpu",)
ON_CPU = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
DDP = ("accelerator=ddp", *ON_CPU)
MODULE = ("-m", "trainyard")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=2", "-m", "trainyard")


def raise_error() -> None:
    raise RuntimeError("the cable is loose")


DEATHS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "hard": lambda: os._exit(7),
    "leave": lambda: os._exit(0),
    "raise": raise_error,
    "exit": lambda: sys.exit(3),
    "none": lambda: None,
    "sleep": lambda: time.sleep(3600),
}


class ValidationImage(L.Callback):
    """Writes an image to TensorBoard after each validation."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if writer := tensorboard_writer(trainer):
            writer.add_image("image", torch.zeros(3, 2, 2), trainer.global_step - 1)


class Die(L.Callback):
    """Ends one process in a batch of an epoch (the second by default), at its first start only."""

    def __init__(self, how: str, rank: int = 1, stage: str = "train", other: str | None = None, epoch: int = 1) -> None:
        self.how = how
        self.rank = rank
        self.stage = stage
        self.other = other
        self.epoch = epoch

    def at(self, trainer: L.Trainer, stage: str, batch: int) -> None:
        restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        if stage != self.stage or batch != 1 or trainer.current_epoch != self.epoch or restarted:
            return
        if trainer.global_rank == self.rank:
            DEATHS[self.how]()
        elif self.other is not None:
            DEATHS[self.other]()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.at(trainer, "train", batch_idx)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.at(trainer, "validation", batch_idx)


class Note(L.Callback):
    """Records the examples of a process by their first number, and its random state, in `note-STAGE-RANK.pt`."""

    def __init__(self) -> None:
        self.seen: dict[str, list[torch.Tensor]] = {"train": [], "val": [], "test": []}
        self.states: list[int] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.seen["train"].append(batch[0][:, 0].clone())

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        self.states.append(hash(torch.get_rng_state().numpy().tobytes()))

    def on_validation_batch_start(self, trainer: L.Trainer, model: L.LightningModule, batch: Any, *more: Any) -> None:
        self.seen["val"].append(batch[0][:, 0].clone())

    def on_test_batch_start(self, trainer: L.Trainer, model: L.LightningModule, batch: Any, *more: Any) -> None:
        self.seen["test"].append(batch[0][:, 0].clone())

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer, "fit")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer, "test")

    def write(self, trainer: L.Trainer, stage: str) -> None:
        notes = {"seen": self.seen, "states": self.states}
        torch.save(notes, Path(trainer.default_root_dir) / f"note-{stage}-{trainer.global_rank}.pt")


class Delay(L.Callback):
    """Delays one process for a random time, at random moments.

    Args:
        rank: of the process.
        seed: of the times.
    """

    def __init__(self, rank: int, seed: int) -> None:
        self.rank, self.draws = rank, random.Random(seed)

    def wait(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        if trainer.global_rank == self.rank and self.draws.random() < 0.1:
            time.sleep(self.draws.expovariate(200.0))  # 5 ms on average

    on_train_start = on_train_epoch_start = on_train_batch_start = on_train_batch_end = on_train_epoch_end = wait
    on_validation_start = on_validation_batch_end = on_validation_end = on_test_batch_end = wait


class StopOnOne(L.Callback):
    """Requests a stop in the second epoch, on the second process alone."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.stop)

    def stop(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        if trainer.global_rank == 1 and trainer.current_epoch == 1:
            trainer.should_stop = True


@dataclass
class End:
    """The end of a run: exit code, output and files."""

    code: int
    screen: str
    log: str
    result: dict[str, Any]
    left: list[int]


def start(
    folder: Path, *more: str, command: tuple[str, ...] = MODULE, words: tuple[str, ...] = TINY
) -> "subprocess.Popen[str]":
    """Start a run in a folder, as the leader of a session."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    for name in ("HYDRA_FULL_ERROR", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, *command, *words, *more],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[str]", folder: Path, run: str = "run") -> End:
    """Wait for a run, and return its end."""
    screen, _ = process.communicate(timeout=600)  # collective operations time out after half an hour
    home = folder / run
    with suppress(AssertionError):  # the caller checks the processes that are left
        until(lambda: not living(process.pid))
    return End(
        process.returncode,
        screen,
        (home / "run.log").read_text(),
        json.loads((home / "result.json").read_text()) if (home / "result.json").is_file() else {},
        living(process.pid),
    )


def run_with_death(folder: Path, how: str, *words: str, rank: int = 1, stage: str = "train", run: str = "run") -> End:
    """Start a run in which a process dies, and return its end."""
    target = (f"+callbacks.die._target_={__name__}.Die", f"+callbacks.die.how={how}", f"+callbacks.die.rank={rank}")
    process = start(folder, f"hydra.run.dir={run}", *target, f"+callbacks.die.stage={stage}", *words)
    return end(process, folder, run)
