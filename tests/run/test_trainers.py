"""Options of Lightning and torch work on batches in memory: accumulation, clipping, precision, early stopping."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from trainyard.run.training import train


def final_weights(cfg) -> dict[str, torch.Tensor]:
    train(cfg)
    return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_two_accumulated_batches_equal_one_of_twice_the_size(compose_run: Compose) -> None:
    small = ["data.batch_size=32", "+trainer.limit_train_batches=36", "trainer.accumulate_grad_batches=2"]
    large = ["data.batch_size=64", "+trainer.limit_train_batches=18"]
    halves, whole = (
        final_weights(compose_run("optimizer=sgd", "logger=csv", *options, folder=folder))
        for folder, options in (("halves", small), ("whole", large))
    )
    assert all(torch.allclose(halves[name], whole[name], atol=1e-5) for name in whole)


def test_gradient_clipping_limits_a_step(compose_run: Compose) -> None:
    fixed = ["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant", "logger=csv"]
    one = [*fixed, "+trainer.limit_train_batches=1", "trainer.max_epochs=1", "optimizer.lr=1"]
    start = final_weights(compose_run(*one[:-1], "optimizer.lr=1e-12", folder="start"))
    clipped = final_weights(compose_run(*one, "trainer.gradient_clip_val=0.01", folder="clipped"))
    unclipped = final_weights(compose_run(*one, folder="unclipped"))

    def distance(weights: dict[str, torch.Tensor]) -> float:
        return float(torch.cat([(weights[name] - start[name]).flatten() for name in start]).norm())

    assert distance(clipped) == pytest.approx(0.01, rel=0.01)
    assert distance(unclipped) > 0.1


@pytest.mark.parametrize(("precision", "dtype"), [("64-true", torch.float64), ("bf16-mixed", torch.float32)])
def test_other_precisions_train(compose_run: Compose, precision: str, dtype: torch.dtype) -> None:
    cfg = compose_run(f"trainer.precision={precision}", "model.hidden_dims=[32]", "logger=csv")
    assert final_weights(cfg)["net.1.weight"].dtype == dtype
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["metrics"]["val/acc"] > 0.3, "guessing gives 0.1"


def test_early_stopping_stops(compose_run: Compose) -> None:
    cfg = compose_run(
        "callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-9", "trainer.max_epochs=20"
    )
    train(cfg)
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["epochs"] == 3


def test_channels_last_changes_the_memory_format_of_the_weights_only(compose_run: Compose) -> None:
    kernels = {}
    for choice in ("true", "false"):
        weights = final_weights(compose_run("model=cnn", f"channels_last={choice}", "logger=csv", folder=choice))
        kernels[choice] = weights["blocks.1.0.weight"]
    assert kernels["true"].is_contiguous(memory_format=torch.channels_last)
    assert not kernels["false"].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(kernels["true"], kernels["false"], atol=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch.compile's own imports
def test_a_compiled_run_learns_the_same(compose_run: Compose) -> None:
    compiled = final_weights(compose_run("compile=true", folder="compiled"))
    plain = final_weights(compose_run(folder="plain"))
    assert compiled.keys() == plain.keys(), "the checkpoint is that of the uncompiled model"
    assert all(torch.allclose(compiled[name], plain[name], atol=1e-3) for name in plain)
    assert "no graph" not in (Path(compose_run(folder="compiled").run.dir) / "run.log").read_text()
