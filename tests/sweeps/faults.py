"""Callbacks that make a job fail or wait, and models that fail."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch

from trainyard.io.resources import available_cores
from trainyard.models.mlp import MLP


def raise_error() -> None:
    raise RuntimeError("the cable is loose")


def allocate_too_much() -> None:
    torch.empty(1 << 60)


KINDS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "raise": raise_error,
    "exit": lambda: sys.exit(3),
    "leave": lambda: os._exit(0),
    "hard_exit": lambda: os._exit(7),
    "child": lambda: subprocess.Popen(["sleep", "3600"]),
    "memory": allocate_too_much,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


GATE = "gate"


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


class Fault(L.Callback):
    """Causes a fault at the end of an epoch, unless a file exists.

    Args:
        kind: a key of `KINDS`.
        epoch: from 1.
        pause: seconds to wait in each epoch.
        unless: the file.
        gate: number of epochs to train before waiting for the file `GATE` in the folder of the sweep.
        together: number of jobs that must have started before the first epoch of any ends.
    """

    def __init__(
        self,
        kind: str = "none",
        epoch: int = 1,
        pause: float = 0.0,
        unless: str = "cured",
        gate: int | None = None,
        together: int = 1,
    ) -> None:
        self.kind = kind
        self.epoch = epoch
        self.pause = pause
        self.unless = unless
        self.gate = gate
        self.together = together

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.together > 1:
            Path(f"begun-{os.getpid()}").touch()
            wait_for(lambda: len([*Path().glob("begun-*")]) >= self.together)
        if trainer.current_epoch == self.gate:
            wait_for(Path(GATE).exists)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        time.sleep(self.pause)
        if trainer.current_epoch + 1 == self.epoch and not Path(self.unless).exists():
            KINDS[self.kind]()


class KillSweep(L.Callback):
    """Kills the sweep and its job once in each of some epochs.

    Args:
        at: job and epoch, such as `2 1`; odd epochs before the score is reported, even ones before it is saved.
    """

    def __init__(self, at: list[str]) -> None:
        self.at = at

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.kill(trainer, 1)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.kill(trainer, 0)

    def kill(self, trainer: L.Trainer, rest: int) -> None:
        epoch = trainer.current_epoch + 1
        moment = f"{Path(trainer.default_root_dir).name} {epoch}"
        if not trainer.sanity_checking and epoch % 2 == rest and moment in self.at:
            mark = Path(f"killed {moment}")
            if not mark.exists():
                mark.touch()
                os.kill(os.getsid(0), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)


class RecordProcess(L.Callback):
    """Writes the process, threads, GPUs and times of a job into its directory."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started = time.time()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        record = {
            "pid": os.getpid(),
            "cores": available_cores(),
            "threads": torch.get_num_threads(),
            "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "imported": "timm" in sys.modules,
            "started": self.started,
            "ended": time.time(),
        }
        text = "".join(f"{name}={value}\n" for name, value in record.items())
        Path(trainer.default_root_dir, "process.txt").write_text(text)


class FourInputs(MLP):
    """A network that processes only rows of four numbers, and reports so when it is trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.view(len(x), 4))

    def on_fit_start(self) -> None:
        Path("trained").touch()


class ReadsValue(MLP):
    """A network whose `forward` depends on a number in its input, which the meta device does not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * 2 if x.max().item() > 1e9 else x)
