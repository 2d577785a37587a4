"""Schedulers, several optimizers and metrics of plain LightningModules survive a resume."""

from functools import partial
from typing import Any
import pytest, torch
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics import MaxMetric, MeanMetric, MetricCollection
from torchmetrics.regression import MeanSquaredError, MeanAbsoluteError
from tests.run.plain_runs import Regressor, Rows, differences, train_plain
from tests.user_modules import gan

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:.*does not have many workers")
STOPS = (("train", 0, 3), ("error", 1, 0), ("val", 1, 2), ("train", 2, 5), ("error", 3, 0), None)


class Scheduled(Regressor):
    def __init__(self, make, **config):
        super().__init__()
        self.make, self.config = make, config

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("step_loss", loss, on_step=True, on_epoch=False)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make(optimizer), **self.config}}


def plateau(optimizer):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.3)


def step(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 2)


CASES = {
    "val": partial(Scheduled, plateau, monitor="val/loss"),
    "train": partial(Scheduled, plateau, monitor="train/loss"),
    "frequency": partial(Scheduled, plateau, monitor="val/loss", frequency=2),
    "each step": partial(Scheduled, plateau, monitor="step_loss", interval="step"),
    "step": partial(Scheduled, step, interval="step"),
    "epoch": partial(Scheduled, step),
}


@pytest.mark.parametrize("case", CASES)
def test_schedulers(tmp_path, case):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer = train_plain(whole, CASES[case], epochs=4)
    assert trainer.optimizers[0].param_groups[0]["lr"] < 0.1
    for stop in STOPS:
        again = train_plain(parts, CASES[case], stop=stop, epochs=4)
    assert again.optimizers[0].param_groups[0]["lr"] == trainer.optimizers[0].param_groups[0]["lr"]
    assert (
        again.lr_scheduler_configs[0].scheduler.state_dict() == trainer.lr_scheduler_configs[0].scheduler.state_dict()
    )
    assert differences(whole, parts) == []


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau conditioned")
def test_plateau_every_second_validation(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    model = partial(Scheduled, plateau, monitor="val/loss", strict=False)
    train_plain(whole, model, epochs=4, check_val_every_n_epoch=2)

    class Later(Scheduled):
        pass

    for stop in (("train", 2, 3), ("error", 3, 0), None):
        train_plain(parts, model, stop=stop, epochs=4, check_val_every_n_epoch=2)
    assert differences(whole, parts) == []


class Measured(Regressor):
    def __init__(self):
        super().__init__()
        self.train_loss, self.val_loss, self.best = MeanMetric(), MeanMetric(), MaxMetric()
        self.scores = MetricCollection(
            {"mse": MeanSquaredError(), "rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError()}
        )

    def on_train_start(self):
        self.val_loss.reset()
        self.best.reset()
        torch.rand(1)

    def training_step(self, batch, batch_idx):
        guess = self.net(batch["x"])
        loss = (guess - batch["y"]).square().mean()
        self.train_loss(loss)
        self.scores.update(guess, batch["y"])
        self.log("train/loss", self.train_loss, on_step=True, on_epoch=True)
        self.log("train/mean", loss, on_step=True, on_epoch=True, batch_size=4)
        self.log("train/max", loss, on_step=False, on_epoch=True, reduce_fx="max")
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.log("train/sum", outputs["loss"], on_step=False, on_epoch=True, reduce_fx="sum")

    def on_train_epoch_end(self):
        self.log_dict(self.scores.compute())
        self.scores.reset()

    def validation_step(self, batch, batch_idx):
        self.val_loss(self(batch))
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True)

    def on_validation_epoch_end(self):
        self.best(self.val_loss.compute())
        self.log("val/best", self.best.compute())


@pytest.mark.parametrize("interval", [1.0, 0.3])
def test_metrics(tmp_path, interval):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole, Measured, epochs=4, val_check_interval=interval, log_every_n_steps=4)
    for stop in STOPS:
        train_plain(parts, Measured, stop=stop, epochs=4, val_check_interval=interval, log_every_n_steps=4)
    print((whole / "metrics.csv").read_text())
    print((parts / "metrics.csv").read_text())
    assert differences(whole, parts) == []


class ScheduledGAN(gan.GAN):
    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        self.lr_schedulers()[0].step()

    def on_train_epoch_end(self):
        self.lr_schedulers()[1].step(self.trainer.callback_metrics["val/radius_error"])

    def configure_optimizers(self):
        a, b = super().configure_optimizers()
        return [a, b], [torch.optim.lr_scheduler.ExponentialLR(a, 0.99), plateau(b)]


def test_gan(tmp_path):
    def points():
        data = gan.Circle()
        data.setup("fit")
        return data.train_dataloader()

    def val():
        data = gan.Circle()
        data.setup("fit")
        return data.val_dataloader()

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole, ScheduledGAN, points, epochs=4, val=val)
    for stop in (("train", 0, 3), ("error", 1, 0), ("val", 1, 1), ("train", 2, 5), ("error", 3, 0), None):
        train_plain(parts, ScheduledGAN, points, stop=stop, epochs=4, val=val)
    assert differences(whole, parts) == []
