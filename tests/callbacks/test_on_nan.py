"""A loss that is not finite: the run stops, or skips the batch."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from tests.conftest import Compose
from trainyard.callbacks.finite_loss import SKIPPED_AT_MOST
from trainyard.errors import ConfigError
from trainyard.history.stored_run import StoredRun
from trainyard.training import train

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
    """Spoils the batches of certain steps, and notes the weights before and after each."""

    steps: frozenset[int] = frozenset()
    seen: list[Tensor] = []  # noqa: RUF012

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        Poison.seen.append(torch.cat([weights.detach().flatten().clone() for weights in pl_module.parameters()]))
        if trainer.global_step in Poison.steps:
            batch[0].fill_(float("inf"))  # a NaN would be a missing number


@pytest.fixture
def poisoned(compose_run: Compose, monkeypatch: pytest.MonkeyPatch):
    """Train with some steps poisoned; return the run, and the weights before each step."""

    def run(on_nan: str, *steps: int, more: tuple[str, ...] = ()) -> tuple[StoredRun, list[Tensor]]:
        monkeypatch.setattr(Poison, "steps", frozenset(steps))
        monkeypatch.setattr(Poison, "seen", [])
        cfg = compose_run(*FEW, f"on_nan={on_nan}", *WATCH, "data.resident=false", "data.num_workers=0", *more)
        train(cfg)
        return StoredRun(Path(cfg.run.dir)), Poison.seen

    return run


def test_it_stops_and_says_where(poisoned) -> None:
    with pytest.raises(FloatingPointError, match=r"the loss became nan at step 4 \(epoch 1\)\n  the batch itself"):
        poisoned("stop", 3)


def test_a_batch_is_left_out(poisoned) -> None:
    run, weights = poisoned("skip_batch", 3, 7)
    assert len(weights) == 10
    same = [step for step in range(9) if torch.equal(weights[step], weights[step + 1])]
    assert same == [3, 7], "these steps changed nothing, and all others did"
    assert run.status == "completed"
    assert run.result["recovered"] == {"skipped_steps": 2}
    log = (run.folder / "run.log").read_text()
    assert "the gradient at step 3 (epoch 1) is not finite: the step is skipped" in log
    assert "nan" not in (run.folder / "metrics.csv").read_text(), "nor is the batch in the training loss"


def test_without_a_bad_batch_nothing_changes(poisoned) -> None:
    metrics = [poisoned(on_nan)[0].metrics for on_nan in ("stop", "skip_batch")]
    assert metrics[0] == metrics[1]


def test_it_ends_where_nothing_helps(poisoned) -> None:
    with pytest.raises(FloatingPointError, match=r"the gradient is not finite, .*\n  the learning rate"):
        poisoned("skip_batch", *range(100), more=("data.batch_size=16",))
    assert len(Poison.seen) == SKIPPED_AT_MOST + 1


def test_an_exploding_loss_is_no_loss(compose_run: Compose) -> None:
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


def test_what_nobody_looks_after_is_refused(compose_run: Compose) -> None:
    with pytest.raises(ConfigError, match=r"on_nan=skip_batch: callbacks\.finite_loss does that"):
        train(compose_run(*FEW, "on_nan=skip_batch"))
