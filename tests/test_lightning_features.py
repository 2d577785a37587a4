"""What Lightning offers keeps working on resident batches: accumulation, clipping, precision, early stopping."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from trainyard.run.training import train


def end_of(cfg) -> dict[str, torch.Tensor]:
    train(cfg)
    return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_two_accumulated_batches_are_one_of_twice_the_size(compose_run: Compose) -> None:
    small = ["data.batch_size=32", "+trainer.limit_train_batches=36", "trainer.accumulate_grad_batches=2"]
    large = ["data.batch_size=64", "+trainer.limit_train_batches=18"]
    halves, whole = (
        end_of(compose_run("optimizer=sgd", "logger=csv", *options, folder=folder))
        for folder, options in (("halves", small), ("whole", large))
    )
    assert all(torch.allclose(halves[name], whole[name], atol=1e-5) for name in whole)


def test_clipped_steps_stay_short(compose_run: Compose) -> None:
    fixed = ["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant", "logger=csv"]
    one = [*fixed, "+trainer.limit_train_batches=1", "trainer.max_epochs=1", "optimizer.lr=1"]
    start = end_of(compose_run(*one[:-1], "optimizer.lr=1e-12", folder="start"))
    clipped = end_of(compose_run(*one, "trainer.gradient_clip_val=0.01", folder="clipped"))
    free = end_of(compose_run(*one, folder="free"))

    def distance(end: dict[str, torch.Tensor]) -> float:
        return float(torch.cat([(end[name] - start[name]).flatten() for name in start]).norm())

    assert distance(clipped) == pytest.approx(0.01, rel=0.01)
    assert distance(free) > 0.1


@pytest.mark.parametrize(("precision", "kept"), [("64-true", torch.float64), ("bf16-mixed", torch.float32)])
def test_other_precisions_train(compose_run: Compose, precision: str, kept: torch.dtype) -> None:
    cfg = compose_run(f"trainer.precision={precision}", "model.hidden_dims=[32]", "logger=csv")
    end = end_of(cfg)
    assert end["net.1.weight"].dtype == kept
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["metrics"]["val/acc"] > 0.3, "guessing gives 0.1"


def test_early_stopping_stops(compose_run: Compose) -> None:
    cfg = compose_run(
        "callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-9", "trainer.max_epochs=20"
    )
    train(cfg)
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["epochs"] == 3
