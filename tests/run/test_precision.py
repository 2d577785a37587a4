"""`trainer.precision=auto` times steps without changing the run, chooses the faster precision, and keeps its choice."""

import logging
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml

from tests.determinism.tiny_runs import config, run
from trainyard.run import precision
from trainyard.run.precision import StepTimer, bfloat16_gain, choose_precision
from trainyard.run.run_builder import build_data
from trainyard.run.training import train

CNN = ("model=cnn", "model.channels=[4]", "model.hidden_dims=[8]", "augment=standard", "trainer.max_epochs=1")


def stored_precision(folder: Path) -> str:
    return str(yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["precision"])


@pytest.mark.parametrize(("gain", "chosen"), [(0.5, "32-true"), (1.09, "32-true"), (1.1, "bf16-mixed")])
def test_the_run_equals_one_with_the_chosen_precision(
    gain: float, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(StepTimer, "gain", gain)
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        auto = run(tmp_path / "auto", *CNN, "trainer.precision=auto")
    assert f"precision  {chosen}: with bfloat16, a step is {gain:.2f} times as fast" in caplog.text
    assert stored_precision(tmp_path / "auto") == chosen
    assert auto.equals(run(tmp_path / "given", *CNN, f"trainer.precision={chosen}")), "weights, order or draws changed"


def test_a_resumed_run_keeps_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bfloat16_gain", lambda *_: 2.0)
    train(config(tmp_path, *CNN, "trainer.precision=auto"))
    monkeypatch.setattr(precision, "bfloat16_gain", lambda *_: 0.5)
    train(config(tmp_path, *CNN, "trainer.precision=auto", "trainer.max_epochs=2"), resume=True)
    assert stored_precision(tmp_path) == "bf16-mixed"
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["epoch"] == 1


class ManualSteps(L.LightningModule):
    """Records whether each step is computed under autocast, in a class attribute."""

    steps: list[bool]
    automatic_optimization = False

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.steps.append(torch.is_autocast_enabled("cpu"))
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.layer(batch[0].flatten(1).float()).float().square().mean())
        optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_precision_alternates_between_steps_of_any_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = config(tmp_path, *CNN, "trainer.precision=auto")
    data = build_data(cfg)
    monkeypatch.setattr(ManualSteps, "steps", [], raising=False)
    monkeypatch.setattr(precision, "build_model_to_train", lambda *_: ManualSteps())
    assert bfloat16_gain(cfg, data) > 0
    assert ManualSteps.steps == [False, True] * precision.PAIRS
    ManualSteps.steps.clear()
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    bfloat16_gain(cfg, data)
    assert ManualSteps.steps == [False, True] * 2, "slow steps are timed once"


def test_the_gain_is_the_ratio_of_the_shortest_steps_after_the_first_pair() -> None:
    timer = StepTimer()
    timer.seconds = [0.1, 0.1, 9.0, 2.0, 6.0, 3.0]
    assert timer.gain == 3.0


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        ((), ValueError("bad\nstep"), "steps could not be timed (bad)"),
        (("accelerator=ddp_cpu",), None, "auto times steps only for a single device"),
    ],
)
def test_says_why_it_does_not_time_steps(
    words: tuple[str, ...],
    error: Exception | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> float:
        raise error or AssertionError

    monkeypatch.setattr(precision, "bfloat16_gain", fail)
    cfg = config(tmp_path, *words, "trainer.precision=auto")
    with caplog.at_level(logging.INFO):
        choose_precision(cfg, build_data(cfg))
    assert cfg.trainer.precision == "32-true"
    assert f"precision  32-true: {reason}" in caplog.text


@pytest.mark.slow
def test_both_precisions_reach_the_same_accuracy(tmp_path: Path) -> None:
    words = ("experiment=digits_cnn", "trainer.max_epochs=10", "data.train_fraction=1.0")
    full, mixed = (
        run(tmp_path / name, *words, f"trainer.precision={name}").result["metrics"]["test/acc"]
        for name in ("32-true", "bf16-mixed")
    )
    assert full > 0.95
    assert mixed == pytest.approx(full, abs=0.02)
