"""The schedulers, optimizers and metrics of plain LightningModules survive a resume."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau, StepLR
from torchmetrics import MaxMetric, MeanMetric, MetricCollection
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from tests.run.plain_runs import EXPECTED_WARNINGS, Regressor, compare, differences, load, train_plain
from tests.user_modules import gan
from trainyard.run.epoch_loop import logged_steps

pytestmark = pytest.mark.filterwarnings(*EXPECTED_WARNINGS)

STOPS = [("train", 0, 3), ("start", 1, 0), ("val", 1, 1), ("train", 2, 5), ("start", 3, 0)]


class Scheduled(Regressor):
    """Has a schedule; it also logs the loss of each step."""

    def __init__(self, make: Callable[[Optimizer], Any], **config: Any) -> None:
        super().__init__()
        self.make, self.config = make, config

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("step_loss", loss, on_step=True, on_epoch=False)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.make(optimizer), **self.config}}


plateau = partial(ReduceLROnPlateau, patience=0, threshold=0.3)
SCHEDULES = {
    "plateau of the validation": partial(Scheduled, plateau, monitor="val/loss"),
    "plateau of the training": partial(Scheduled, plateau, monitor="train/loss"),
    "plateau every second epoch": partial(Scheduled, plateau, monitor="val/loss", frequency=2),
    "plateau of steps": partial(Scheduled, plateau, monitor="step_loss", interval="step"),
    "step": partial(Scheduled, partial(StepLR, step_size=2), interval="step"),
    "epoch": partial(Scheduled, partial(StepLR, step_size=2)),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedulers(tmp_path: Path, kind: str) -> None:
    one, other = compare(tmp_path, STOPS, model=SCHEDULES[kind], max_epochs=4)
    rates = [trainer.optimizers[0].param_groups[0]["lr"] for trainer in (one, other)]
    assert rates[0] == rates[1] < 0.1
    states = [trainer.lr_scheduler_configs[0].scheduler.state_dict() for trainer in (one, other)]
    assert states[0] == states[1]


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau conditioned on metric")
def test_plateau_of_a_metric_that_is_not_logged_in_each_epoch(tmp_path: Path) -> None:
    model = partial(Scheduled, plateau, monitor="val/loss", strict=False)
    compare(tmp_path, STOPS[:1] + STOPS[-2:], model=model, max_epochs=4, check_val_every_n_epoch=2)


class Measured(Regressor):
    """Logs in all ways: metrics of torchmetrics, averages, and from several hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.train_loss, self.val_loss, self.best = MeanMetric(), MeanMetric(), MaxMetric()
        errors = {"mse": MeanSquaredError(), "rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError()}
        self.errors = MetricCollection(errors)

    def on_train_start(self) -> None:
        self.best.reset()
        torch.rand(1)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        guess = self.net(batch["x"])
        loss: torch.Tensor = (guess - batch["y"]).square().mean()
        self.train_loss(loss)
        self.errors.update(guess, batch["y"])
        self.log("train/loss", self.train_loss, on_step=True, on_epoch=True)
        self.log("train/mean", loss, on_step=True, on_epoch=True, batch_size=4)
        self.log("train/max", loss, on_step=False, on_epoch=True, reduce_fx="max")
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("train/sum", outputs["loss"], on_step=False, on_epoch=True, reduce_fx="sum")

    def on_train_epoch_end(self) -> None:
        self.log_dict(self.errors.compute())
        self.errors.reset()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.val_loss(self(batch))
        self.log("val/loss", self.val_loss, on_step=False, on_epoch=True)

    def on_validation_epoch_end(self) -> None:
        self.best(self.val_loss.compute())
        self.log("val/best", self.best.compute())


@pytest.mark.parametrize("interval", [1.0, 0.3])
def test_metrics(tmp_path: Path, interval: float) -> None:
    compare(tmp_path, STOPS, model=Measured, max_epochs=4, val_check_interval=interval, log_every_n_steps=4)


class ScheduledGAN(gan.GAN):
    """Steps its two schedules itself."""

    def training_step(self, batch: Any, batch_idx: int) -> None:
        super().training_step(batch, batch_idx)
        self.lr_schedulers()[0].step()  # type: ignore[index, union-attr, call-arg]

    def on_train_epoch_end(self) -> None:
        self.lr_schedulers()[1].step(self.trainer.callback_metrics["val/radius_error"])  # type: ignore[index, union-attr]

    def configure_optimizers(self) -> Any:
        first, second = super().configure_optimizers()
        return [first, second], [ExponentialLR(first, 0.99), plateau(second)]


def circle() -> L.LightningDataModule:
    data = gan.Circle()
    data.setup("fit")
    return data


GAN: dict[str, Any] = {
    "model": ScheduledGAN,
    "train": lambda: circle().train_dataloader(),
    "val": lambda: circle().val_dataloader(),
}


def test_several_optimizers(tmp_path: Path) -> None:
    compare(tmp_path, STOPS, max_epochs=4, **GAN)


class Accumulating(Regressor):
    """Steps its optimizer itself, with the gradients of three batches."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer: Any = self.optimizers()
        self.manual_backward(super().training_step(batch, batch_idx))
        if batch_idx % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()


def test_gradients_that_the_model_accumulates(tmp_path: Path) -> None:
    compare(tmp_path, STOPS, model=Accumulating, max_epochs=4)


@pytest.mark.parametrize(
    ("stop", "batches"), [(("train", 0, 3), 4), (("val", 1, 1), 20), (("start", 1, 0), 10), (("train", 2, 0), 21)]
)
def test_logged_steps_of_several_optimizers(tmp_path: Path, stop: Any, batches: int) -> None:
    """Loggers count batches; each batch makes two optimizer steps."""
    train_plain(tmp_path, stop=stop, log_every_n_steps=1, **GAN)
    stored = load(tmp_path)
    assert stored["global_step"] == 2 * batches
    assert logged_steps(stored) == batches


class Stepwise(Regressor):
    """Logs each batch of a validation."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self(batch), on_step=True, on_epoch=True, batch_size=4)


def test_values_that_are_logged_in_each_validation_batch(tmp_path: Path) -> None:
    compare(tmp_path, [("train", 1, 2), ("val", 1, 0)], model=Stepwise)


class Curriculum(Regressor):
    """Sets the factor of its loss at the start of each epoch, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("decay", torch.ones(1))

    def on_train_epoch_start(self) -> None:
        self.factor = 1 + self.current_epoch
        self.decay *= 0.8
        self.log("factor", float(self.factor))

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return super().training_step(batch, batch_idx) * self.factor * self.decay


class Decay(L.Callback):
    """Changes weights, learning rate, its own state and an attribute of the model at the start of each epoch."""

    def __init__(self) -> None:
        self.epochs = 0

    @torch.no_grad()
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs += 1
        for weights in pl_module.parameters():
            weights *= 0.9
        trainer.optimizers[0].param_groups[0]["lr"] *= 0.9
        pl_module.net[1].p = 0.1 * trainer.current_epoch  # type: ignore[index, union-attr]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("epochs", float(self.epochs))

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = state_dict["epochs"]


def test_hooks_at_the_start_of_an_epoch(tmp_path: Path) -> None:
    """They set what is not saved, such as a factor, and what is saved, such as weights, once."""
    places = [tmp_path / "whole", tmp_path / "parts"]
    one = train_plain(places[0], Curriculum, callbacks=[Decay()], max_epochs=4)
    for stop in (*STOPS, None):
        other = train_plain(places[1], Curriculum, callbacks=[Decay()], max_epochs=4, stop=stop)
    assert differences(*places) == []
    rates = [trainer.optimizers[0].param_groups[0]["lr"] for trainer in (one, other)]
    assert rates[0] == rates[1] == pytest.approx(0.01 * 0.9**4)


def test_accumulation_that_depends_on_the_epoch(tmp_path: Path) -> None:
    schedule = {0: 3, 2: 2}
    places = [tmp_path / "whole", tmp_path / "parts"]
    for folder, stops in zip(places, ([None], [*STOPS, None]), strict=True):
        for stop in stops:
            callbacks = [GradientAccumulationScheduler(schedule)]
            train_plain(folder, callbacks=callbacks, max_epochs=4, stop=stop)
    assert differences(*places) == []
