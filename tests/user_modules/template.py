"""A module and a data module in the style of lightning-hydra-template: partials, `compile`, torchmetrics."""

from collections.abc import Callable

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy


class SimpleDenseNet(nn.Module):
    def __init__(self, input_size: int = 16, hidden_size: int = 16, output_size: int = 3) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(input_size, hidden_size),
            nn.BatchNorm1d(hidden_size),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(hidden_size, output_size),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LitModule(L.LightningModule):
    def __init__(
        self,
        net: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["net"])
        self.net, self.criterion = net, nn.CrossEntropyLoss()
        self.train_acc, self.val_acc, self.test_acc = (MulticlassAccuracy(3, average="micro") for _ in range(3))
        self.train_loss, self.val_loss, self.test_loss = (MeanMetric() for _ in range(3))
        self.val_acc_best = MaxMetric()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def on_train_start(self) -> None:
        self.val_loss.reset()
        self.val_acc.reset()
        self.val_acc_best.reset()

    def model_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        x, y = batch
        logits = self(x)
        return self.criterion(logits, y), logits.argmax(1), y

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        loss, predicted, targets = self.model_step(batch)
        self.train_loss(loss)
        self.train_acc(predicted, targets)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        loss, predicted, targets = self.model_step(batch)
        self.val_loss(loss)
        self.val_acc(predicted, targets)
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("val/acc", self.val_acc, on_step=False, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute(), sync_dist=True, prog_bar=True)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        loss, predicted, targets = self.model_step(batch)
        self.test_loss(loss)
        self.test_acc(predicted, targets)
        self.log("test/loss", self.test_loss, on_step=False, on_epoch=True)
        self.log("test/acc", self.test_acc, on_step=False, on_epoch=True)

    def setup(self, stage: str) -> None:
        if self.hparams.compile and stage == "fit":
            self.net = torch.compile(self.net)

    def configure_optimizers(self) -> dict:
        optimizer = self.hparams.optimizer(params=self.trainer.model.parameters())
        if self.hparams.scheduler is None:
            return {"optimizer": optimizer}
        schedule = self.hparams.scheduler(optimizer=optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "monitor": "val/loss", "interval": "epoch", "frequency": 1},
        }


class LitDataModule(L.LightningDataModule):
    def __init__(
        self,
        train_val_test_split: tuple[int, int, int] = (320, 64, 64),
        batch_size: int = 32,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.data_train: Dataset | None = None

    @property
    def num_classes(self) -> int:
        return 3

    def setup(self, stage: str | None = None) -> None:
        if self.data_train is None:
            generator = torch.Generator().manual_seed(42)
            labels = torch.randint(0, 3, (sum(self.hparams.train_val_test_split),), generator=generator)
            centres = torch.randn(3, 16, generator=generator)
            rows = centres[labels] + torch.randn(len(labels), 16, generator=generator)
            parts = random_split(TensorDataset(rows, labels), self.hparams.train_val_test_split, generator)
            self.data_train, self.data_val, self.data_test = parts

    def loader(self, part: Dataset, shuffle: bool = False) -> DataLoader:
        keys = self.hparams
        return DataLoader(part, keys.batch_size, shuffle, num_workers=keys.num_workers, pin_memory=keys.pin_memory)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.data_train, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.data_val)

    def test_dataloader(self) -> DataLoader:
        return self.loader(self.data_test)
