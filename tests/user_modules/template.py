"""Which of three gestures a sensor records, in the style of lightning-hydra-template.

The network, the optimizer and the schedule are arguments of the module, the latter two as partials; torchmetrics
computes the scores, and a flag compiles the network.
"""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy, MaxMetric, MeanMetric

GESTURES, READINGS = 3, 16


class GestureNet(nn.Sequential):
    def __init__(self, width: int = 16, dropout: float = 0.1) -> None:
        hidden = [nn.Linear(READINGS, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
        super().__init__(*hidden, nn.Linear(width, GESTURES))


class GestureClassifier(L.LightningModule):
    def __init__(
        self,
        net: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Any] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["net"])
        self.net = net
        self.losses = nn.ModuleDict({f"{stage}_loss": MeanMetric() for stage in ("train", "val", "test")})
        self.scores = nn.ModuleDict(
            {f"{stage}_acc": Accuracy(task="multiclass", num_classes=GESTURES) for stage in ("train", "val", "test")}
        )
        self.best = MaxMetric()

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.hparams.compile:
            self.net = torch.compile(self.net)

    def forward(self, readings: Tensor) -> Tensor:
        return self.net(readings)

    def on_train_start(self) -> None:
        """Forget what a check of the validation before training may have counted."""
        for metric in (self.losses["val_loss"], self.scores["val_acc"], self.best):
            metric.reset()

    def step(self, stage: str, batch: list[Tensor]) -> Tensor:
        readings, gesture = batch
        logits = self(readings)
        loss = nn.functional.cross_entropy(logits, gesture)
        self.losses[f"{stage}_loss"].update(loss)
        self.scores[f"{stage}_acc"].update(logits, gesture)
        shown = {"on_step": False, "on_epoch": True, "prog_bar": True}
        self.log(f"{stage}/loss", self.losses[f"{stage}_loss"], **shown)
        self.log(f"{stage}/acc", self.scores[f"{stage}_acc"], **shown)
        return loss

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.step("train", batch)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.step("val", batch)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.step("test", batch)

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self(batch[0]).softmax(1)

    def on_validation_epoch_end(self) -> None:
        self.best.update(self.scores["val_acc"].compute())
        self.log("val/acc_best", self.best.compute(), sync_dist=True, prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = self.hparams.optimizer(params=self.parameters())
        if not self.hparams.scheduler:
            return optimizer
        plan = {"scheduler": self.hparams.scheduler(optimizer=optimizer), "monitor": "val/loss"}
        return {"optimizer": optimizer, "lr_scheduler": plan}


class Gestures(L.LightningDataModule):
    def __init__(
        self, counts: tuple[int, int, int] = (320, 64, 64), batch_size: int = 32, pin_memory: bool = False
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.splits: list[TensorDataset] = []

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        generator = torch.Generator().manual_seed(42)
        total = sum(self.hparams.counts)
        gesture = torch.randint(GESTURES, (total,), generator=generator)
        typical = torch.randn(GESTURES, READINGS, generator=generator)
        readings = typical[gesture] + torch.randn(total, READINGS, generator=generator)
        parts = zip(readings.split(self.hparams.counts), gesture.split(self.hparams.counts), strict=True)
        self.splits = [TensorDataset(*part) for part in parts]

    def loader(self, number: int, shuffle: bool = False) -> DataLoader:
        keys = self.hparams
        return DataLoader(self.splits[number], keys.batch_size, shuffle=shuffle, pin_memory=keys.pin_memory)

    def train_dataloader(self) -> DataLoader:
        return self.loader(0, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(1)

    def test_dataloader(self) -> DataLoader:
        return self.loader(2)

    def predict_dataloader(self) -> DataLoader:
        return self.loader(2)
