"""Callbacks: the stop at a loss that is no number, the best of equals, a graph that disturbs nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import Compose
from trainyard.callbacks.checkpoints import BestCheckpoint
from trainyard.callbacks.finite_loss import LOOK_EVERY, FiniteLoss
from trainyard.checkpoint_files import write_checkpoint
from trainyard.training import train


def trainer(**changes: Any) -> Any:
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.5}])
    state = {"num_training_batches": 1000, "optimizers": [optimizer], "precision": "32-true", "current_epoch": 2}
    return SimpleNamespace(**{**state, "global_step": 7, "max_steps": -1, **changes})


def module(device: str) -> Any:
    return SimpleNamespace(device=torch.device(device), get_submodule=lambda name: torch.nn.Identity())


BATCH = (torch.rand(2, 3), torch.zeros(2))


def test_on_a_cpu_each_step_is_looked_at() -> None:
    with pytest.raises(FloatingPointError, match=r"nan at step 7 \(epoch 3\)\n.*learning rate \(0.5 there\).*lr=0.01"):
        FiniteLoss().on_train_batch_end(trainer(), module("cpu"), {"loss": torch.tensor(float("nan"))}, BATCH, 6)


def test_on_an_accelerator_the_steps_are_looked_at_together_and_the_first_bad_one_is_named() -> None:
    callback = FiniteLoss()
    for step in range(1, LOOK_EVERY):
        loss = torch.tensor(float("inf") if step >= 20 else 0.5)
        callback.on_train_batch_end(trainer(global_step=step), module("meta"), {"loss": loss}, BATCH, step - 1)
    last = {"loss": torch.tensor(1.0)}
    with pytest.raises(FloatingPointError, match="inf at step 20 "):
        callback.on_train_batch_end(trainer(global_step=LOOK_EVERY), module("meta"), last, BATCH, LOOK_EVERY - 1)


@pytest.mark.parametrize(
    ("changes", "batch", "cause"),
    [
        ({}, (torch.tensor([float("nan")]), torch.zeros(1)), "the batch itself"),
        ({"precision": "16-mixed"}, BATCH, "half precision"),
    ],
)
def test_the_cause_is_told_apart(changes: dict, batch: Any, cause: str) -> None:
    with pytest.raises(FloatingPointError, match=cause):
        FiniteLoss().on_train_batch_end(
            trainer(**changes), module("cpu"), {"loss": torch.tensor(float("nan"))}, batch, 0
        )


def test_a_missing_number_that_the_model_fills_is_no_fault_of_the_data() -> None:
    loss = {"loss": torch.tensor(float("nan"))}
    filling = SimpleNamespace(device=torch.device("cpu"), get_submodule=lambda name: torch.nan_to_num)
    with pytest.raises(FloatingPointError, match="learning rate"):
        FiniteLoss().on_train_batch_end(trainer(), filling, loss, (torch.tensor([float("nan")]), torch.zeros(1)), 0)


def test_of_equal_epochs_the_one_of_less_loss_is_best(tmp_path: Path) -> None:
    checkpoint = BestCheckpoint(tmp_path, "val/acc")
    strategy = SimpleNamespace(reduce_boolean_decision=bool)
    chosen = []
    for accuracy, loss in ((0.9, 0.5), (1.0, 0.4), (1.0, 0.3), (1.0, 0.35), (0.95, 0.1)):
        score = torch.tensor(accuracy)
        scores = {"val/loss": torch.tensor(loss), "val/acc": score}
        state = SimpleNamespace(callback_metrics=scores, strategy=strategy)
        chosen.append(checkpoint.check_monitor_top_k(state, score))
        if chosen[-1]:
            checkpoint.best_k_models = {"best": score}
            checkpoint.kth_best_model_path, checkpoint.best_model_score = "best", score
    assert chosen == [True, True, True, False, False]
    assert checkpoint.state_dict()["best_loss"] == pytest.approx(0.3)
    write_checkpoint({}, tmp_path / "best.ckpt")
    restored = BestCheckpoint(tmp_path, "val/acc")
    restored.load_state_dict(checkpoint.state_dict())
    assert restored.best_loss == checkpoint.best_loss


def test_the_graph_changes_no_number(compose_run: Compose) -> None:
    def weights(*overrides: str, folder: str) -> dict[str, torch.Tensor]:
        cfg = compose_run("model=cnn", "logger=tensorboard", *overrides, folder=folder)
        train(cfg)
        return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]

    traced, plain = weights(folder="a"), weights("callbacks=none", folder="b")
    assert all(torch.equal(traced[name], plain[name]) for name in plain)


def test_early_stopping_ends_a_run_that_stands_still(compose_run: Compose) -> None:
    cfg = compose_run("callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-12",
                      "trainer.max_epochs=20", "logger=csv")  # fmt: skip
    train(cfg)
    import json

    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["epochs"] == 3
