"""Runs that a signal stops at a given step, and functions that compare runs."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import Compose
from trainyard.run.training import train

EPOCHS = 4
Stopped = tuple[str, int, int]
COMMON = [
    *("data.batch_size=256", f"trainer.max_epochs={EPOCHS}", "callbacks=none", "accelerator=cpu"),
    f"+callbacks.stop._target_={__name__}.Stop",
    "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor",
]


class Stop(L.Callback):
    """Sends a signal to this process in a batch of training or validation.

    Attributes:
        at: stage, epoch and batch of the next signal; -1 for the last batch of the epoch.
        how: the signal.
    """

    at: Stopped | None = None
    how = signal.SIGINT

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        random.random(), np.random.random()  # as a user's callback may draw
        last = batch_idx + 1 == trainer.num_training_batches
        self.stop("train", trainer.current_epoch, {batch_idx, -1} if last else {batch_idx})

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop("val", trainer.current_epoch, {batch_idx})

    def stop(self, stage: str, epoch: int, batches: set[int]) -> None:
        if Stop.at and Stop.at[:2] == (stage, epoch) and Stop.at[2] in batches:
            Stop.at = None
            os.kill(os.getpid(), Stop.how)


def run(compose_run: Compose, *overrides: str, folder: str, stop: Stopped | None = None) -> None:
    """Train in a folder, to the end or until a signal stops the run."""
    Stop.at = stop
    cfg = compose_run(*COMMON, *overrides, folder=folder)
    if stop is None:
        train(cfg)
        return
    with pytest.raises(SystemExit) as end:
        train(cfg)
    assert end.value.code == 128 + Stop.how
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["status"] == "interrupted"


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)  # type: ignore[no-any-return]


def tensors(node: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Return all tensors of a checkpoint by their path in it; of a file name, only the last part."""
    if isinstance(node, torch.Tensor):
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    below = [tensors(value, f"{path}/{Path(str(key)).name}") for key, value in items]
    return {place: tensor for found in below for place, tensor in found.items()}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values of every curve in TensorBoard."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
