"""`show`, `find` and `draw` for any LightningModule: what works, and one line about what is missing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from tests.inference.module_runs import AUTOENCODER, CHARACTERS, TEMPLATE, UNET, USER, record_module_run
from tests.user_modules.transformer import Characters
from tests.user_modules.unet import UNet
from trainyard.config.composition import compose
from trainyard.inspect import batch_size, data, decision_figure, layer_outputs, learning_rate, model, schedule
from trainyard.inspect.loaders import loader_rows
from trainyard.io.errors import ConfigError

GAN = {"model": {"_target_": f"{USER}.gan.GAN"}, "data": {"_target_": f"{USER}.gan.Circle"}}
TWO = {"model": {"_target_": f"{USER}.two_loaders.Regressor"}, "data": {"_target_": f"{USER}.two_loaders.Sines"}}


@pytest.fixture(autouse=True)
def in_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compose_module(parts: dict[str, Any], *words: str) -> DictConfig:
    """Compose the config of a run of a module, as with options `mine` in the user's own configs."""
    objective = ["objective=val/mine", "objective_mode=min"]
    cfg = compose(["accelerator=cpu", "trainer.max_epochs=4", "callbacks=none", *objective, *words])
    for name, node in parts.items():
        cfg[name] = OmegaConf.create(node)
        cfg.run.choices[name] = "mine"
    return cfg


def test_batches_of_all_loaders_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    data.show(compose_module(CHARACTERS))
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["loader", "batches", "examples", "tensor"]
    assert [row.split()[:3] for row in rows[::2]] == [["train", "10", "320"], ["val", "3", "80"], ["test", "3", "80"]]
    assert rows[0].split()[3:7] == ["tokens", "int64", "[32,", "16]"]
    data.show(compose_module(TWO))
    names = [row.split()[0] for row in capsys.readouterr().out.splitlines()]
    assert names == ["loader", "train", "1", "val.0", "1", "val.1", "1"], "two tensors in each batch"


def test_unknown_sizes_and_other_batches_are_shown() -> None:
    assert loader_rows("train", iter([["a", "b"]])) == [("train", "?", "?", "none", "", "", "", "")]
    assert loader_rows("train", [])[0][1] == "0"


def test_layers_have_shapes_with_example_inputs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.show(compose_module(UNET))
    assert "are not known: the model has no example_input_array" in capsys.readouterr().out
    monkeypatch.setattr(UNet, "example_input_array", torch.zeros(5, 1, 16, 16))
    model.show(compose_module(UNET), depth=1)
    rows = {row.split()[0]: row.split()[1:] for row in capsys.readouterr().out.splitlines()}
    assert rows["down"] == ["Sequential", "4x16x16", "48", "yes", f"{2 * 9 * 4 * 256:,}"]
    assert rows["head"] == ["Conv2d", "1x16x16", "5", "yes", f"{2 * 4 * 256:,}"]


def test_rates_are_those_of_the_own_optimizer() -> None:
    rates = schedule.simulate_rates(compose_module(UNET))  # a one-cycle schedule by step
    assert (rates.epoch_steps, rates.steps, rates.depends_on_validation) == (3, 12, False)
    assert rates.highest == pytest.approx(0.01, rel=0.02)
    assert rates.groups["0"][-1] < 1e-6
    assert schedule.simulate_rates(compose_module(TEMPLATE)).depends_on_validation
    step = {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step_size": 2}
    stepped = {**TEMPLATE, "model": {**TEMPLATE["model"], "scheduler": step}}
    rates = schedule.simulate_rates(compose_module(stepped))
    by_epoch = [rates.groups["0"][epoch * 10] for epoch in range(4)]
    assert by_epoch == pytest.approx([0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("function", [schedule.show, learning_rate.find])
def test_manual_optimization_is_an_error(function: Any) -> None:
    with pytest.raises(ConfigError, match="model=mine: steps its optimizers itself"):
        function(compose_module(GAN))


def test_module_without_backbone_is_an_error() -> None:
    with pytest.raises(ConfigError, match="model=mine: it has no backbone"):
        schedule.show_finetune(compose_module(UNET))


@pytest.mark.parametrize(("parts", "key"), [(TEMPLATE, "model.optimizer.lr="), (AUTOENCODER, "+model.lr=")])
def test_learning_rate_is_suggested_for_the_key_that_sets_it(
    parts: dict[str, Any], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    learning_rate.find(compose_module(parts), steps=60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tried ")
    curve = learning_rate.LossCurve([10**-k for k in range(8, 0, -1)] * 5, [1.0] * 20 + [0.1] * 20)
    assert f"override   {key}" in learning_rate.describe_curve(curve, compose_module(parts))


def test_batch_sizes_are_tried(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "STEPS", 3)
    batch_size.find(compose_module(UNET))
    sizes = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:6]]
    assert sizes == ["8", "16", "32", "64", "96"]
    monkeypatch.setattr(Characters, "train_dataloader", lambda data: iter([]))
    with pytest.raises(ConfigError, match="data=mine: the number of its training examples is not known"):
        batch_size.find(compose_module(CHARACTERS))


@pytest.mark.parametrize("function", [decision_figure.draw_decision, layer_outputs.draw_layers])
def test_figures_of_classes_are_refused(function: Any, tmp_path: Path) -> None:
    run = record_module_run(tmp_path / "run", UNET)
    with pytest.raises(
        ConfigError, match="its model does not say what its outputs mean: it has no method interpret\n  accepted: "
    ):
        function(str(run), trusted=["tests"])
