"""Options of the Trainer and of regularisation have their effect."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from tests.conftest import Compose
from tests.run.interrupted_runs import checkpoint, run, tensors
from trainyard.config.composition import compose
from trainyard.run.training import train


def final_weights(cfg: DictConfig) -> dict[str, torch.Tensor]:
    train(cfg)
    return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_accumulated_batches_equal_one_larger_batch(compose_run: Compose) -> None:
    small = ["data.batch_size=32", "+trainer.limit_train_batches=36", "trainer.accumulate_grad_batches=2"]
    large = ["data.batch_size=64", "+trainer.limit_train_batches=18"]
    halves, whole = (
        final_weights(compose_run("optimizer=sgd", "logger=csv", *options, folder=folder))
        for folder, options in (("halves", small), ("whole", large))
    )
    assert all(torch.allclose(halves[name], whole[name], atol=1e-5) for name in whole)


def test_gradient_clipping_limits_the_step(compose_run: Compose) -> None:
    fixed = ["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=false", "scheduler=constant", "logger=csv"]
    one = [*fixed, "+trainer.limit_train_batches=1", "trainer.max_epochs=1", "optimizer.lr=1"]
    start = final_weights(compose_run(*one[:-1], "optimizer.lr=1e-12", folder="start"))
    clipped = final_weights(compose_run(*one, "trainer.gradient_clip_val=0.01", folder="clipped"))
    free = final_weights(compose_run(*one, folder="free"))

    def distance(end: dict[str, torch.Tensor]) -> float:
        return float(torch.cat([(end[name] - start[name]).flatten() for name in start]).norm())

    assert distance(clipped) == pytest.approx(0.01, rel=0.01)
    assert distance(free) > 0.1


@pytest.mark.parametrize(("precision", "kept"), [("64-true", torch.float64), ("bf16-mixed", torch.float32)])
def test_other_precisions_train(compose_run: Compose, precision: str, kept: torch.dtype) -> None:
    cfg = compose_run(f"trainer.precision={precision}", "model.hidden_dims=[32]", "logger=csv")
    end = final_weights(cfg)
    assert end["net.1.weight"].dtype == kept
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["metrics"]["val/acc"] > 0.3, "guessing gives 0.1"


def test_double_precision_resumes_exactly(compose_run: Compose, tmp_path: Path) -> None:
    """Lightning would load the weights as float32, and then convert them."""
    double = ["trainer.precision=64-true", "model.hidden_dims=[8]", "logger=csv"]
    run(compose_run, *double, folder="whole")
    run(compose_run, *double, folder="parts", stop=("train", 1, 1))
    run(compose_run, *double, folder="parts")
    whole, parts = (tensors(checkpoint(tmp_path / name, "last.ckpt")["state_dict"]) for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_early_stopping_stops(compose_run: Compose) -> None:
    cfg = compose_run(
        "callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=1e-9", "trainer.max_epochs=20"
    )
    train(cfg)
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["epochs"] == 3


def test_channels_last_changes_the_kernels(compose_run: Compose) -> None:
    kernels = {}
    for choice in ("true", "false"):
        end = final_weights(compose_run("model=cnn", f"channels_last={choice}", "logger=csv", folder=choice))
        kernels[choice] = end["blocks.1.0.weight"]
    assert kernels["true"].is_contiguous(memory_format=torch.channels_last)
    assert not kernels["false"].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(kernels["true"], kernels["false"], atol=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch.compile's own imports
def test_compiled_run_equals_eager_run(compose_run: Compose) -> None:
    compiled = final_weights(compose_run("compile=true", folder="compiled"))
    plain = final_weights(compose_run(folder="plain"))
    assert compiled.keys() == plain.keys(), "the checkpoint has the names of the uncompiled model"
    assert all(torch.allclose(compiled[name], plain[name], atol=1e-3) for name in plain)
    assert "no graph" not in (Path(compose_run(folder="compiled").run.dir) / "run.log").read_text()


SHORT = ("data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=16", "model=transfer",
         "model.backbone=test_resnet", "model.weights=none", "model.image_size=32", "finetune=full",
         "trainer.max_epochs=3", "accelerator=cpu", "logger=csv", "callbacks=none")  # fmt: skip


def final_head(folder: Path, *options: str) -> torch.Tensor:
    """Train and return the weights of the head."""
    train(compose([*SHORT, *options, f"hydra.run.dir={folder}"]))
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["head.weight"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return final_head(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    "option",
    ["model.label_smoothing=0.1", "augment.mixup=0.2", "augment.cutmix=1", "model.drop_path=0.2", "ema_decay=0.5"],
)
def test_regularisation_changes_the_weights(tmp_path: Path, plain: torch.Tensor, option: str) -> None:
    head = final_head(tmp_path / "run", option)
    assert head.isfinite().all()
    assert 1e-5 < float((head - plain).abs().max()) < 0.1
