"""Tests that need a CUDA GPU: each model and precision, exact resume, out of memory, compiled steps."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from tests.conftest import Compose
from tests.run.interrupted_runs import tensors
from trainyard.inference.evaluate import evaluate
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore"),  # warnings of CUDA libraries differ between machines
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"),
]
MODELS = {
    "mlp": ["model=mlp", "model.dropout=0.2"],
    "cnn": ["model=cnn", "augment=standard"],
    "resnet": ["model=resnet", "trainer.max_epochs=3"],
    "whitened_cnn": ["model=whitened_cnn", "trainer.max_epochs=3"],
    "transfer": ["model=transfer", "model.backbone=resnet18", "model.weights=none", "finetune=full"],
}
ON_GPU = ["accelerator=gpu", "logger=csv"]


class Stop(L.Callback):
    """Sends SIGTERM once after a step."""

    step = -1

    def on_train_batch_end(self, trainer: L.Trainer, *more: Any, **others: Any) -> None:
        if trainer.global_step == Stop.step:
            Stop.step = -1
            os.kill(os.getpid(), signal.SIGTERM)


def read_result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


def last_checkpoint(folder: Path) -> Any:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True, map_location="cpu")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "bf16-true"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_in_every_precision(
    compose_run: Compose, tmp_path: Path, model: str, precision: str
) -> None:
    train(compose_run(*MODELS[model], *ON_GPU, f"trainer.precision={precision}", "optimizer.lr=0.003"))
    assert read_result(tmp_path / "run")["metrics"]["val/acc"] > 0.3, "chance is 0.1"


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_resumed_run_is_bitwise_equal(compose_run: Compose, tmp_path: Path, model: str, precision: str) -> None:
    words = [*MODELS[model], *ON_GPU, f"trainer.precision={precision}", "trainer.deterministic=true", "callbacks=none"]
    words += ["data.batch_size=128", f"+callbacks.stop._target_={__name__}.Stop"]
    train(compose_run(*words, folder="uninterrupted"))
    Stop.step = 13
    with pytest.raises(SystemExit) as end:
        train(compose_run(*words, folder="resumed"))
    assert end.value.code == 143
    assert last_checkpoint(tmp_path / "resumed")["global_step"] == 13
    train(compose_run(*words, folder="resumed"))
    one, other = (tensors(last_checkpoint(tmp_path / name)) for name in ("uninterrupted", "resumed"))
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []
    assert "/processes/0/random/device" in one


def test_out_of_memory(compose_run: Compose) -> None:
    words = ["data=shapes", "model=cnn", "model.dropout=0", *ON_GPU, "trainer.precision=32-true", "callbacks=none"]
    words += ["data.batch_size=2000", "model.channels=[128,256,256]", "trainer.max_epochs=1"]
    train(compose_run(*words, folder="uninterrupted"))
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * peak / torch.cuda.get_device_properties(0).total_memory)
    try:
        smaller = "data.batch_size=1000 trainer.accumulate_grad_batches=2"
        with pytest.raises(ConfigError, match=rf"data\.batch_size=2000: not enough memory\n  accepted: {smaller}"):
            train(compose_run(*words, folder="too_large"))
        train(compose_run(*words, *smaller.split(), folder="smaller"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_compiled_steps_give_the_same_loss(compose_run: Compose, tmp_path: Path) -> None:
    for compiled in ("false", "true"):
        words = [*MODELS["mlp"], *ON_GPU, "model.dropout=0", f"compile={compiled}", "trainer.precision=32-true"]
        train(compose_run(*words, folder=compiled))
    losses = [read_result(tmp_path / name)["metrics"]["val/loss"] for name in ("false", "true")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def test_run_of_a_gpu_is_evaluated_on_a_cpu(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(compose_run(*MODELS["cnn"], *ON_GPU, "trainer.precision=32-true"))
    monkeypatch.chdir(tmp_path)
    found, _ = evaluate("run", ["trainer.accelerator=cpu"])
    for name in ("test/acc", "test/loss"):
        assert found.scores[name] == pytest.approx(read_result(tmp_path / "run")["metrics"][name], abs=5e-3)


def test_step_with_a_nan_gradient_is_skipped(compose_run: Compose, tmp_path: Path) -> None:
    train(compose_run("model=mlp", *ON_GPU, f"+callbacks.nan._target_={__name__}.NanGradient", "on_nan=skip_batch"))
    assert read_result(tmp_path / "run")["recovered"]["skipped_steps"] == 1


class NanGradient(L.Callback):
    """Sets one gradient to NaN."""

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step == 3:
            next(parameter for parameter in pl_module.parameters() if parameter.grad is not None).grad.fill_(
                float("nan")
            )
