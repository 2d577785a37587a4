"""`find lr`: the range test and the suggested rate."""

import math
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from trainyard.config.composition import compose
from trainyard.inspect.learning_rate import LossCurve, RangeTest, range_test
from trainyard.inspect.untrained import untrained_data, untrained_model
from trainyard.models.supervised import SupervisedModel


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_curve_has_the_loss_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[float, float]] = []
    step = SupervisedModel.training_step

    def recording_step(self: SupervisedModel, *batch: object) -> Tensor:
        loss = step(self, *batch)  # type: ignore[arg-type]
        steps.append((self.trainer.optimizers[0].param_groups[0]["lr"], loss.item()))
        return loss

    monkeypatch.setattr(SupervisedModel, "training_step", recording_step)
    cfg = compose(["scheduler=one_cycle", "data.train_fraction=0.2", "trainer.max_epochs=1", "accelerator=cpu"])
    curve = range_test(cfg, 30)
    assert list(curve.rates) == pytest.approx([rate for rate, _ in steps])
    assert curve.losses == pytest.approx([loss for _, loss in steps])
    ratios = [after / before for before, after in zip(curve.rates[1:], curve.rates[2:], strict=False)]
    assert ratios == pytest.approx([1e7 ** (1 / 30)] * len(ratios)), "whatever the schedule"


def test_loss_of_accumulated_batches_is_averaged() -> None:
    words = ("trainer.accumulate_grad_batches=3", "data.train_fraction=0.2", "accelerator=cpu")
    curve = range_test(compose(words), 20)  # four batches an epoch: a step of three, and one of one
    assert list(curve.rates[1:]) == pytest.approx(
        [1e-6 * 1e7 ** (step / 20) for step in range(2, len(curve.rates) + 1)]
    )
    assert curve.losses[:5] == pytest.approx([2.3] * 5, abs=0.15), "those of ten classes by chance"


def test_curve_ends_before_a_nan_loss() -> None:
    test, trainer = RangeTest(100), SimpleNamespace(accumulate_grad_batches=1, global_step=0, should_stop=False)
    for rate, loss in ((0.1, 2.0), (0.2, 1.0), (0.3, float("nan"))):
        assert not trainer.should_stop
        test.rate, trainer.global_step = rate, trainer.global_step + 1
        test.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, 0)  # type: ignore[arg-type]
    assert trainer.should_stop
    assert (test.curve.rates, test.curve.losses) == ([0.1, 0.2], [2.0, 1.0])


def test_ratios_of_group_rates_do_not_change() -> None:
    words = ("model=transfer", "model.weights=none", "model.backbone=test_resnet", "model.image_size=32")
    cfg = compose([*words, "finetune=full", "finetune.head_lr_factor=3", "finetune.layer_decay=1"])
    model, test = untrained_model(cfg, untrained_data(cfg)), RangeTest(7)
    optimizer = model.build_optimizer(100, 10)["optimizer"]
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=3)
    test.on_train_batch_start(trainer, model, None, 0)  # type: ignore[arg-type]
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates["head_weights"] == pytest.approx(0.03)
    assert rates["layers_0-4_weights"] == pytest.approx(0.01)
    assert test.rate == pytest.approx(0.01)


def test_command_suggests_a_valid_override(run_command, tmp_path: Path, temporary: Path) -> None:
    code, screen, errors = run_command("find", "lr", "model=mlp", "trainer.max_epochs=1", "debug=fast")
    assert (code, errors) == (0, "")
    tried, suggests, override, look = screen.splitlines()
    assert tried.startswith("tried      ")
    assert "from 1e-06" in tried
    assert compose([override.split()[1]]).optimizer.lr == pytest.approx(float(suggests.split()[1].rstrip(",")))
    assert 0.001 < compose([override.split()[1]]).optimizer.lr < 0.02
    assert look == "written    outputs/find/lr.png"
    assert [path.name for path in tmp_path.rglob("*")] == ["outputs", "find", "lr.png"]
    assert not list(temporary.iterdir())


def test_constant_loss_gives_no_suggestion(run_command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        SupervisedModel, "forward", lambda self, x: torch.zeros(len(x), 10) * next(self.parameters()).sum()
    )
    code, screen, _ = run_command("find", "lr", "--steps", "25", "data.train_fraction=0.2")
    assert code == 0
    assert "nothing clear: the loss stays near 2.3" in screen
    assert "optimizer.lr=" not in screen


def test_interrupted_test_leaves_no_files(
    run_command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, temporary: Path
) -> None:
    def interrupted(*_: object) -> Tensor:
        assert list(temporary.iterdir()), "the folder of the Trainer exists"
        raise KeyboardInterrupt

    monkeypatch.setattr(SupervisedModel, "training_step", interrupted)
    code, _, errors = run_command("find", "lr", "data.train_fraction=0.2")
    assert code == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert not list(tmp_path.iterdir())
    assert not list(temporary.iterdir())


def curve(losses: list[float]) -> LossCurve:
    return LossCurve([1e-6 * 10 ** (step / 10) for step in range(len(losses))], losses)


def descending_losses(start: float, end: float, steepest: int, steps: int = 70) -> list[float]:
    """A loss that falls along a sigmoid, and explodes at the end."""
    descent = [end + (start - end) / (1 + math.exp((step - steepest) / 4)) for step in range(steps)]
    return [*descent, *(end + 3.0**number for number in range(1, 6))]


@pytest.mark.parametrize("steepest", [30, 45])
def test_steepest_descent_is_suggested(steepest: int) -> None:
    found = curve(descending_losses(2.3, 0.5, steepest)).suggestion
    assert found is not None
    assert abs(found - steepest) <= 1


def test_noise_at_tiny_rates_is_ignored() -> None:
    losses = descending_losses(2.3, 0.5, 40)
    losses[12] += 0.6
    losses[13] -= 0.6
    assert curve(losses).suggestion == pytest.approx(40, abs=1)


@pytest.mark.parametrize(
    "losses",
    [
        [2.3] * 60,
        descending_losses(2.3, 2.2, 30),
        [2.3 + 0.05 * step for step in range(60)],
        descending_losses(2.3, 0.5, 5, 12),
    ],
    ids=["flat", "falls by 4 percent", "rises", "too short"],
)
def test_no_suggestion_without_a_clear_drop(losses: list[float]) -> None:
    assert curve(losses).suggestion is None


def test_smoothing_preserves_a_straight_line() -> None:
    smooth = curve([float(step) for step in range(60)]).smooth
    assert smooth[15:45].tolist() == pytest.approx(list(range(15, 45)), abs=1e-3)
