"""Runs of the plain Lightning modules in this folder, by the experiments in `conf/`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import yaml

from tests.run.interrupted_runs import Stop, Stopped
from trainyard.config.composition import compose
from trainyard.run.training import train

CONF = Path(__file__).with_name("conf")
REPOSITORY = Path(__file__).parents[2]
EPOCHS = 3
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))
COMMON = ("accelerator=cpu", f"trainer.max_epochs={EPOCHS}", "trainer.log_every_n_steps=1")
# Writes every checkpoint immediately; with the default pause, a run that is killed early would restart.
NO_PAUSE = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"


def slow_except(*quick: str, all_names: Sequence[str] = EXPERIMENTS) -> list[Any]:
    """Return names as parameters of a test, of which all but the quick ones are marked as slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in all_names]


def objective_of(experiment: str) -> tuple[str, str]:
    """Return the objective of an experiment and its mode, as written in its file."""
    values = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    return values["objective"], values["objective_mode"]


def batches(experiment: str) -> int:
    """Return the number of training batches of an epoch."""
    special = {"contrastive": 8, "demo": 64, "boring": 64, "segmentation": 6, "two_loaders": 12}
    return special.get(experiment, 10)


@dataclass
class Runs:
    """Runs in one folder.

    Attributes:
        folder: contains one directory for each run.
        teacher: a checkpoint for the distillation.
    """

    folder: Path
    teacher: Path

    def overrides(self, experiment: str, *words: str) -> list[str]:
        """Return the overrides of a short run."""
        teacher = [f"model.teacher={self.teacher}"] if experiment == "distillation" else []
        return [f"experiment={experiment}", *teacher, *COMMON, *words]

    def run(self, experiment: str, *words: str, name: str = "run", stop: Stopped | None = None) -> Path:
        """Train to the end, or until SIGTERM at a batch; return the directory."""
        callback = f"+callbacks.stop._target_={Stop.__module__}.Stop"
        folder = self.folder / name
        words = (f"hydra.run.dir={folder}", callback, *words)
        Stop.at, Stop.how = stop, signal.SIGTERM
        try:
            with pytest.raises(SystemExit) if stop else nullcontext():
                train(compose(self.overrides(experiment, *words), config_dir=CONF))
        finally:
            Stop.at, Stop.how = None, signal.SIGINT
        assert result(folder)["status"] == ("interrupted" if stop else "completed")
        return folder


def command(*words: str, cwd: Path, code: int = 0) -> str:
    """Run `python -m trainyard` in a folder; return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "trainyard", *words],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def train_teacher(folder: Path) -> Path:
    """Train a classifier of Trainyard on rows of four numbers; return its checkpoint."""
    tiny = ["data=penguins", "model=mlp", "model.hidden_dims=[8]", "trainer.max_epochs=3", "callbacks=none"]
    train(compose([*tiny, "logger=csv", "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder / "checkpoints" / "best.ckpt"


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


class KillOnce(L.Callback):
    """Kills the process at the first batch that ends at or after an optimizer step, once.

    Args:
        step: the step; `None` for never.
    """

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any) -> None:
        mark = Path(trainer.default_root_dir) / "killed.txt"
        if self.step and trainer.global_step >= self.step and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def sorted_best_first(values: Sequence[float], mode: str) -> list[float]:
    return sorted(values, reverse=mode == "max")
