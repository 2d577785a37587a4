"""Runs of plain LightningModules and DataLoaders that a signal stops, and comparisons of such runs."""

import os
import random
import signal
from collections.abc import Callable, Sequence
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

EXPECTED_WARNINGS = ("ignore:Checkpoint directory", "ignore:.*does not have many workers")
Stop = tuple[str, int, int]


class StopAt(L.Callback):
    """Stops a run.

    Attributes:
        at: `train` or `val`, an epoch and a batch of it, for a signal; `start` and an epoch for an error at its start.
    """

    def __init__(self, at: Stop | None) -> None:
        self.at = at

    def stop(self, *at: Any) -> None:
        if self.at == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.at == ("start", trainer.current_epoch, 0):
            raise RuntimeError("an error")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        random.random(), np.random.random()  # as a user's callback may draw
        self.stop("train", trainer.current_epoch, batch_idx)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop("val", trainer.current_epoch, batch_idx)


class Rows(Dataset[dict[str, Tensor]]):
    """Rows, whose sum is the target, with noise from three random generators."""

    def __init__(self, size: int = 40, noise: float = 0.1) -> None:
        self.rows = torch.randn(size, 4, generator=torch.Generator().manual_seed(0))
        self.noise = noise

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = torch.rand(4) + float(np.random.random()) + random.random()
        return {"x": self.rows[index] + self.noise * noise, "y": self.rows[index].sum().view(1)}


class Regressor(L.LightningModule):
    """A network with dropout, trained on a batch or on several in a dict; Lightning averages its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, batch: Any) -> Tensor:
        return (self.net(batch["x"]) - batch["y"]).square().mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        parts = [batch] if "x" in batch else [part for part in batch.values() if part is not None]
        loss = torch.stack([self(part) for part in parts]).sum()
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=4)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self(batch), batch_size=4)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)


class Data(L.LightningDataModule):
    """Returns the loaders that two functions build."""

    def __init__(self, train: Callable[[], Any], val: Callable[[], Any]) -> None:
        super().__init__()
        self.train_dataloader, self.val_dataloader = train, val


def rows_for_validation() -> Any:
    return DataLoader(Rows(12), 4)


def train_plain(
    folder: Path,
    model: Callable[[], L.LightningModule] = Regressor,
    train: Callable[[], Any] = lambda: DataLoader(Rows(), 4, shuffle=True),
    val: Callable[[], Any] = rows_for_validation,
    stop: Stop | None = None,
    callbacks: Sequence[L.Callback] = (),
    **options: Any,
) -> L.Trainer:
    """Train in a folder, from its last checkpoint, to the end or until the run is stopped."""
    folder.mkdir(exist_ok=True)
    L.seed_everything(0, verbose=False)
    signals, last = Signals(), LastCheckpoint(folder)
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[StopAt(stop), *callbacks, last, ProcessState(), GracefulStop(signals, last)],
        plugins=[PacedCheckpointIO(pause=0)],
        **{**QUIET, "logger": MetricsTable(str(folder)), "enable_checkpointing": True},
        **{"max_epochs": 3, "num_sanity_val_steps": 0, **options},
    )
    trainer.fit_loop = FitLoop(trainer)
    file = folder / "last.ckpt"
    try:
        with signals:
            trainer.fit(model(), Data(train, val), ckpt_path=file if file.exists() else None, weights_only=True)
        assert stop is None, "the run was not stopped"
    except (SystemExit, RuntimeError) as error:
        if not stop or (stop[0] == "start") != isinstance(error, RuntimeError):
            raise
    return trainer


def compare(folder: Path, stops: Sequence[Stop], **arguments: Any) -> tuple[L.Trainer, L.Trainer]:
    """Assert that a run that is stopped several times equals one that is not; return both trainers."""
    whole, parts = folder / "whole", folder / "parts"
    one = train_plain(whole, **arguments)
    for stop in (*stops, None):
        other = train_plain(parts, stop=stop, **arguments)
    assert differences(whole, parts) == []
    return one, other


def load(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


def differences(one: Path, other: Path) -> list[str]:
    """Return the places of tensors and the tables that differ between two runs."""
    first, second = load(one), load(other)
    assert first["global_step"] == second["global_step"] > 0
    assert first["lr_schedulers"] == second["lr_schedulers"]
    mine, theirs = tensors(first), tensors(second)
    assert mine.keys() == theirs.keys()
    places = [place for place, tensor in mine.items() if not torch.equal(tensor, theirs[place])]
    tables = [(folder / "metrics.csv").read_text() for folder in (one, other)]
    return places + ["metrics.csv"] * (tables[0] != tables[1])
