"""The run stops, or skips the batch, if the loss is not finite."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from tests.conftest import Compose
from trainyard.callbacks.finite_loss import CHECK_EVERY, MAX_SKIPPED, FiniteLoss
from trainyard.callbacks.protocols import tensors
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

FEW = [
    "data=penguins",
    "model.hidden_dims=[8]",
    "data.batch_size=49",
    "accelerator=cpu",
    "logger=csv",
    "callbacks=none",
]
WATCH = [
    "+callbacks.finite_loss._target_=trainyard.callbacks.finite_loss.FiniteLoss",
    "+callbacks.finite_loss.on_nan=${on_nan}",
    f"+callbacks.poison._target_={__name__}.Poison",
]


class Poison(L.Callback):
    """Makes the batches of some steps infinite, and records the weights before each step."""

    steps: frozenset[int] = frozenset()
    seen: list[Tensor] = []  # noqa: RUF012

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        Poison.seen.append(torch.cat([weights.detach().flatten().clone() for weights in pl_module.parameters()]))
        if trainer.global_step in Poison.steps:
            batch[0].fill_(float("inf"))  # NaN would be a missing value


@pytest.fixture
def poisoned(compose_run: Compose, monkeypatch: pytest.MonkeyPatch):
    """Train with infinite batches in some steps; return the run and the weights before each step."""

    def run(on_nan: str, *steps: int, more: tuple[str, ...] = ()) -> tuple[StoredRun, list[Tensor]]:
        monkeypatch.setattr(Poison, "steps", frozenset(steps))
        monkeypatch.setattr(Poison, "seen", [])
        cfg = compose_run(*FEW, f"on_nan={on_nan}", *WATCH, "data.resident=false", "data.num_workers=0", *more)
        train(cfg)
        return StoredRun(Path(cfg.run.dir)), Poison.seen

    return run


def test_stop_reports_the_step(poisoned) -> None:
    with pytest.raises(FloatingPointError, match=r"the loss became nan at step 4 \(epoch 1\)\n  the batch contains"):
        poisoned("stop", 3)


def test_skip_batch_skips_the_optimizer_step(poisoned) -> None:
    run, weights = poisoned("skip_batch", 3, 7)
    assert len(weights) == 10
    same = [step for step in range(9) if torch.equal(weights[step], weights[step + 1])]
    assert same == [3, 7], "only these steps change no weights"
    assert run.status == "completed"
    assert run.result["recovered"] == {"skipped_steps": 2}
    log = (run.folder / "run.log").read_text()
    assert "the gradient at step 3 (epoch 1) is not finite: the step is skipped" in log
    assert "nan" not in (run.folder / "metrics.csv").read_text(), "the training loss excludes the batch"


def test_skip_batch_does_not_change_a_finite_run(poisoned) -> None:
    metrics = [poisoned(on_nan)[0].metrics for on_nan in ("stop", "skip_batch")]
    assert metrics[0] == metrics[1]


def test_too_many_skipped_batches_stop_the_run(poisoned) -> None:
    with pytest.raises(FloatingPointError, match=r"the gradient is not finite, .*\n  the learning rate"):
        poisoned("skip_batch", *range(100), more=("data.batch_size=16",))
    assert len(Poison.seen) == MAX_SKIPPED + 1


def test_an_exploding_loss_stops_the_run(compose_run: Compose) -> None:
    wild = [
        "optimizer=sgd",
        "optimizer.lr=1e12",
        "scheduler=constant",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
    ]
    cfg = compose_run(*FEW, "+callbacks.finite_loss._target_=trainyard.callbacks.finite_loss.FiniteLoss", *wild)
    with pytest.raises(
        FloatingPointError, match=r"the loss became [0-9.e+]+ at step \d+ .*\n.*try optimizer\.lr=0\.01"
    ):
        train(cfg)


def test_skip_batch_requires_the_callback(compose_run: Compose) -> None:
    with pytest.raises(ConfigError, match=r"on_nan=skip_batch: callbacks\.finite_loss, which implements it"):
        train(compose_run(*FEW, "on_nan=skip_batch"))


class AcceptsOptimizer:
    def __init__(self, optimizer: Any = None) -> None:
        """Accept the optimizer of the run."""


class OwnOptimizer:
    def __init__(self) -> None:
        """Choose an optimizer."""


def trainer(**changes: Any) -> Any:
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.5}])
    state = {"num_training_batches": 1000, "optimizers": [optimizer], "precision": "32-true", "current_epoch": 2}
    state |= {"lightning_module": AcceptsOptimizer()}
    return SimpleNamespace(**{**state, "global_step": 7, "max_steps": -1, **changes})


def module(device: str) -> Any:
    return SimpleNamespace(device=torch.device(device))


@pytest.mark.parametrize(
    ("model", "optimizers", "remedy"),
    [
        (AcceptsOptimizer, [0.5], r"\(0\.5 at this step\) is likely too high: try optimizer\.lr=0\.01"),
        (OwnOptimizer, [0.001, 0.03], r"\(0\.03 at this step\) is likely too high: try a rate of 0\.003"),
        (OwnOptimizer, [], "the learning rate"),
    ],
)
def test_the_remedy_fits_the_model(model: type, optimizers: list[float], remedy: str) -> None:
    groups = [SimpleNamespace(param_groups=[{"lr": rate}]) for rate in optimizers]
    state = trainer(lightning_module=model(), optimizers=groups)
    with pytest.raises(FloatingPointError, match=remedy):
        FiniteLoss().on_train_batch_end(state, module("cpu"), {"loss": torch.tensor(float("nan"))}, BATCH, 0)


@pytest.mark.parametrize("batch", [{"x": torch.rand(2), "names": ["a", "b"]}, [torch.rand(2), {"y": (torch.rand(2),)}]])
def test_batches_have_any_structure(batch: Any) -> None:
    loss = {"loss": torch.tensor(float("nan"))}
    with pytest.raises(FloatingPointError, match="learning rate"):
        FiniteLoss().on_train_batch_end(trainer(), module("cpu"), loss, batch, 0)
    next(tensors(batch))[1] = float("inf")
    with pytest.raises(FloatingPointError, match="values that are not finite"):
        FiniteLoss().on_train_batch_end(trainer(), module("cpu"), loss, batch, 0)


@pytest.mark.parametrize("outputs", [None, {}, {"other": 1}])
def test_manual_optimization_may_return_no_loss(outputs: Any) -> None:
    FiniteLoss().on_train_batch_end(trainer(), module("cpu"), outputs, BATCH, 0)


def test_a_large_loss_is_only_wrong_for_models_that_say_so() -> None:
    large = {"loss": torch.tensor(1e9)}
    FiniteLoss().on_train_batch_end(trainer(), module("cpu"), large, BATCH, 0)
    bounded = FiniteLoss()
    bounded.on_fit_start(trainer(), Filling())  # type: ignore[arg-type]
    with pytest.raises(FloatingPointError, match=r"1e\+09"):
        bounded.on_train_batch_end(trainer(), Filling(), large, BATCH, 0)


BATCH = (torch.rand(2, 3), torch.zeros(2))


def test_each_step_is_checked_on_a_cpu() -> None:
    with pytest.raises(
        FloatingPointError, match=r"nan at step 7 \(epoch 3\)\n.*learning rate \(0.5 at this step\).*lr=0.01"
    ):
        FiniteLoss().on_train_batch_end(trainer(), module("cpu"), {"loss": torch.tensor(float("nan"))}, BATCH, 6)


def test_steps_are_checked_together_on_an_accelerator() -> None:
    callback = FiniteLoss()
    for step in range(1, CHECK_EVERY):
        loss = torch.tensor(float("inf") if step >= 20 else 0.5)
        callback.on_train_batch_end(trainer(global_step=step), module("meta"), {"loss": loss}, BATCH, step - 1)
    last = {"loss": torch.tensor(1.0)}
    with pytest.raises(FloatingPointError, match="inf at step 20 "):
        callback.on_train_batch_end(trainer(global_step=CHECK_EVERY), module("meta"), last, BATCH, CHECK_EVERY - 1)


@pytest.mark.parametrize(
    ("changes", "batch", "cause"),
    [
        ({}, (torch.tensor([float("nan")]), torch.zeros(1)), "the batch contains"),
        ({"precision": "16-mixed"}, BATCH, "half precision"),
    ],
)
def test_likely_causes(changes: dict, batch: Any, cause: str) -> None:
    with pytest.raises(FloatingPointError, match=cause):
        FiniteLoss().on_train_batch_end(
            trainer(**changes), module("cpu"), {"loss": torch.tensor(float("nan"))}, batch, 0
        )


class Filling:
    device = torch.device("cpu")
    largest_loss = 1e8

    def has_valid_inputs(self, batch: Any) -> bool:
        return bool(batch[0].nan_to_num().isfinite().all())


def test_missing_values_of_a_table_are_not_the_cause() -> None:
    loss = {"loss": torch.tensor(float("nan"))}
    filling = Filling()
    with pytest.raises(FloatingPointError, match="learning rate"):
        FiniteLoss().on_train_batch_end(trainer(), filling, loss, (torch.tensor([float("nan")]), torch.zeros(1)), 0)
