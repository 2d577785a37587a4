"""The lean step makes the calls of Lightning's own step, in the same order, with the same numbers."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, TensorDataset

from trainyard.run import epoch_loop
from trainyard.run.lean_step import HOOKS, find_obstacle
from trainyard.run.loops import FitLoop

OTHER_HOOKS = ("on_train_epoch_start", "on_validation_start", "on_validation_end", "on_train_epoch_end")
Calls = list[tuple[Any, ...]]


class Regressor(L.LightningModule):
    """Logs in `training_step`, and skips one batch of each epoch."""

    def __init__(
        self, optimizer: Any = torch.optim.Adam, scheduler: dict[str, Any] | None = None, skipped: int = 4
    ) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.make_optimizer, self.scheduler = optimizer, scheduler
        self.skipped = skipped
        self.calls: Calls = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor | None:
        loss = nn.functional.mse_loss(self.net(batch[0]), batch[1])
        self.log("step_loss", loss, on_step=True, on_epoch=True)
        return None if batch_idx == self.skipped else loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", nn.functional.mse_loss(self.net(batch[0]), batch[1]))

    def on_after_backward(self) -> None:
        self.log("gradient", self.net[0].weight.grad.norm())
        self.calls.append(("module", self.global_step))

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters(), lr=0.1)
        if self.scheduler is None:
            return optimizer
        options = dict(self.scheduler)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": options.pop("make")(optimizer), **options}}


def train(folder: Path, module: dict[str, Any], trainer: dict[str, Any]) -> tuple[dict[str, Tensor], Calls, str]:
    """Return the weights, all calls of hooks with the counters at that time, and the logged values."""
    torch.manual_seed(0)
    model, calls = Regressor(**module), []

    def record(name: str, trainer: L.Trainer, module: L.LightningModule, *arguments: Any) -> None:
        loss = [float(value["loss"]) for value in arguments if isinstance(value, dict) and "loss" in value]
        counts = trainer.global_step, trainer.fit_loop.epoch_loop.batch_idx, trainer.fit_loop.epoch_loop.total_batch_idx
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        calls.append((name, *counts, *loss, *rates, dict(trainer.callback_metrics)))

    hooks: dict[str, Any] = {name: partial(record, name) for name in (*HOOKS, *OTHER_HOOKS)}
    x = torch.randn(42, 3)
    data = TensorDataset(x, x.sum(1, keepdim=True))
    logger = CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)
    fixed = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 3}
    own = {"logger": logger, "callbacks": [LambdaCallback(**hooks)], "enable_checkpointing": False}
    run = L.Trainer(**{**fixed, **own, "log_every_n_steps": 2, "num_sanity_val_steps": 0, **trainer})
    run.fit_loop = FitLoop(run)
    run.fit(model, DataLoader(data, 6, shuffle=True), DataLoader(data, 7))
    return model.state_dict(), [*calls, *model.calls], (folder / "metrics.csv").read_text(encoding="utf-8")


STEPS = {"make": partial(StepLR, step_size=2, gamma=0.5), "interval": "step"}
EPOCHS = {"make": partial(StepLR, step_size=1, gamma=0.5), "interval": "epoch"}
PLATEAU = {"make": partial(ReduceLROnPlateau, patience=0), "monitor": "val_loss"}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Lightning: workers, skipped batches
@pytest.mark.parametrize(
    ("module", "trainer"),
    [
        ({}, {}),
        ({"scheduler": STEPS}, {"accumulate_grad_batches": 2}),
        ({"scheduler": EPOCHS}, {"gradient_clip_val": 0.1}),
        ({"scheduler": PLATEAU, "skipped": -1}, {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}),
        ({"optimizer": partial(torch.optim.LBFGS, max_iter=2), "skipped": -1}, {"max_epochs": 1}),
        ({}, {"precision": "bf16-mixed"}),
        ({}, {"precision": "64-true"}),
        ({}, {"precision": "bf16-true"}),
        ({"scheduler": STEPS}, {"max_steps": 9, "max_epochs": -1}),
        ({}, {"val_check_interval": 3, "limit_train_batches": 5}),
        ({}, {"overfit_batches": 2}),
    ],
)
def test_equals_lightning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: dict[str, Any], trainer: dict[str, Any]
) -> None:
    obstacles: list[str | None] = []
    monkeypatch.setattr(epoch_loop, "find_obstacle", lambda trainer: obstacles.append(find_obstacle(trainer)))
    weights, calls, logged = train(tmp_path / "lean", module, trainer)
    assert set(obstacles) == {None}
    monkeypatch.setattr(epoch_loop, "find_obstacle", lambda trainer: "a test")
    expected = train(tmp_path / "lightning", module, trainer)
    assert all(torch.equal(weights[name], value) for name, value in expected[0].items())
    assert len(calls) > 10
    assert calls == expected[1]
    assert logged == expected[2]


class OwnBackward(Regressor):
    def backward(self, loss: Tensor) -> None:  # type: ignore[override]
        (2 * loss).backward()


class Manual(Regressor):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False


class Iterates(Regressor):
    def training_step(self, dataloader_iter: Any) -> Tensor:  # type: ignore[override]
        return self.net(next(dataloader_iter)[0][0]).sum()


@pytest.mark.parametrize(
    ("model", "trainer", "reason"),
    [
        (OwnBackward(), {}, "backward is overridden"),
        (Manual(), {}, "the module optimizes manually, or not with one optimizer"),
        (Iterates(), {}, "training_step reads batches itself"),
        (Regressor(), {"profiler": "simple"}, "a profiler is used"),
        (Regressor(), {"strategy": "ddp"}, "the strategy is DDPStrategy"),
    ],
)
def test_obstacles(model: L.LightningModule, trainer: dict[str, Any], reason: str) -> None:
    run = L.Trainer(accelerator="cpu", devices=1, logger=False, **trainer)
    run.strategy.connect(model)
    run.strategy.optimizers = [torch.optim.SGD(model.parameters())]
    assert find_obstacle(run) == reason


@pytest.mark.filterwarnings("ignore:.*returned `None`")
def test_steps_the_optimizer_that_a_callback_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Replaces(Regressor):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 2:
                self.trainer.strategy.optimizers = [torch.optim.SGD(self.parameters(), lr=0.01)]

    monkeypatch.setitem(globals(), "Regressor", Replaces)
    weights = train(tmp_path / "lean", {}, {})[0]
    monkeypatch.setattr(epoch_loop, "find_obstacle", lambda trainer: "a test")
    assert all(torch.equal(weights[name], value) for name, value in train(tmp_path / "own", {}, {})[0].items())
