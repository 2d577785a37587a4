"""A training with plain Lightning as in templates, as a baseline of the benchmarks."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from benchmark_helpers import EpochTimer, time_epochs
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy


class PlainModule(L.LightningModule):
    """A classifier with one torchmetrics object per stage; loss and metric are logged at each step."""

    def __init__(self, net: nn.Module, lr: float = 0.001) -> None:
        super().__init__()
        self.net = net
        self.lr = lr
        self.train_accuracy, self.val_accuracy = MulticlassAccuracy(10), MulticlassAccuracy(10)

    def step(self, batch: tuple[Tensor, Tensor], stage: str) -> Tensor:
        """Log the loss and the accuracy; return the loss."""
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        accuracy = self.train_accuracy if stage == "train" else self.val_accuracy
        accuracy(logits, y)
        self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log(f"{stage}/acc", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss."""
        return self.step(batch, "train")

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        self.step(batch, "val")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log loss and accuracy."""
        self.step(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def plain_lightning(net: nn.Module, loaders: tuple[DataLoader[Any], ...], folder: Path, device: str) -> list[float]:
    """Train with progress bar, TensorBoard and checkpoints; return the seconds of the epoch."""
    with time_epochs() as seconds:
        trainer = L.Trainer(
            max_epochs=1,
            accelerator=device,
            devices=1,
            logger=TensorBoardLogger(folder),
            callbacks=[EpochTimer(), ModelCheckpoint(folder, monitor="val/acc", mode="max")],
            num_sanity_val_steps=0,
        )
        trainer.fit(PlainModule(net), loaders[0], loaders[1])
    return seconds
