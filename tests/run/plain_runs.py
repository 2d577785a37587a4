"""Runs of plain LightningModules and DataLoaders that a signal stops, and comparisons of such runs."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tests.run.interrupted_runs import tensors
from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.callbacks.graceful_stop import GracefulStop
from trainyard.callbacks.process_state import ProcessState
from trainyard.io.signals import Signals
from trainyard.run.loops import FitLoop
from trainyard.run.metrics_table import MetricsTable
from trainyard.run.run_builder import QUIET

Stop = tuple[str, int, int]  # stage, epoch, batch


class StopAt(L.Callback):
    """Sends a signal in a batch, or raises a RuntimeError, as a process that is killed would end, in `error`."""

    def __init__(self, at: Stop | None) -> None:
        self.at = at

    def stop(self, *at: Any) -> None:
        if self.at == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        random.random(), np.random.random()  # as a user's callback may draw
        self.stop("train", trainer.current_epoch, batch_idx)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.at == ("error", trainer.current_epoch, 0):
            raise RuntimeError("killed")

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop("val", trainer.current_epoch, batch_idx)


class Rows(Dataset[dict[str, Tensor]]):
    """Rows with noise from three random generators; `sum` is the target."""

    def __init__(self, size: int = 40, noise: float = 0.1) -> None:
        self.noise = noise
        self.rows = torch.randn(size, 4, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = torch.rand(4) + float(np.random.random()) + random.random()
        return {
            "x": self.rows[index] + self.noise * noise,
            "y": self.rows[index].sum().view(1),
            "index": torch.tensor(index),
        }


class Regressor(L.LightningModule):
    """A network with dropout; its averages over an epoch are logged by Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))
        self.order: list[int] = []

    def forward(self, batch: Any) -> Tensor:
        return (self.net(batch["x"]) - batch["y"]).square().mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        parts = batch.values() if isinstance(batch, dict) and "x" not in batch else [batch]
        loss = sum((self(part) for part in parts if part is not None), torch.zeros(()))
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=4)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self(batch), batch_size=4)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)


def train_plain(
    folder: Path,
    model: Callable[[], L.LightningModule] = Regressor,
    train: Callable[[], Any] = lambda: DataLoader(Rows(), 4, shuffle=True),
    stop: Stop | None = None,
    epochs: int = 3,
    val: Callable[[], Any] = lambda: DataLoader(Rows(12), 4),
    callbacks: tuple[L.Callback, ...] = (),
    **options: Any,
) -> L.Trainer:
    """Train in a folder, from its last checkpoint, to the end or until the run is stopped."""

    class Data(L.LightningDataModule):
        def train_dataloader(self) -> Any:
            return train()

        def val_dataloader(self) -> Any:
            return val()

    folder.mkdir(exist_ok=True)
    L.seed_everything(0, verbose=False)
    signals, last = Signals(), LastCheckpoint(folder)
    own = [StopAt(stop), *callbacks, last, ProcessState(), GracefulStop(signals, last)]
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=own,
        plugins=[PacedCheckpointIO(pause=0)],
        **{**QUIET, "logger": MetricsTable(folder), "enable_checkpointing": True, "num_sanity_val_steps": 0, **options},
    )
    trainer.fit_loop = FitLoop(trainer)
    file = folder / "last.ckpt"

    try:
        with signals:
            trainer.fit(model(), Data(), ckpt_path=file if file.exists() else None, weights_only=True)
        assert stop is None, "the run was not stopped"
    except (SystemExit, RuntimeError) as error:
        if not stop or (stop[0] == "error") != isinstance(error, RuntimeError):
            raise
    return trainer


def differences(one: Path, other: Path) -> list[str]:
    """Return the places of tensors and tables that differ between two runs."""
    first, second = (torch.load(folder / "last.ckpt", weights_only=True) for folder in (one, other))
    assert first["global_step"] == second["global_step"] > 0
    mine, theirs = tensors(first), tensors(second)
    assert mine.keys() == theirs.keys()
    places = [place for place, tensor in mine.items() if not torch.equal(tensor, theirs[place])]
    tables = [(folder / "metrics.csv").read_text() for folder in (one, other)]
    return places + ["metrics.csv"] * (tables[0] != tables[1])
