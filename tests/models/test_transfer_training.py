"""Frozen layers stay bitwise equal, and layers are unfrozen at their step with their rates."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import timm
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from tests.conftest import Compose
from tests.models.watch import IMAGES, SHORT, Watch, watched
from trainyard.config.composition import compose, instantiate
from trainyard.inspect.schedule import simulate_rates
from trainyard.run.load_model import load_model

# When each part of test_resnet is unfrozen in a run of 16 steps.
START_STEPS = {"layer4": 4, "layer3": 4, "layer2": 8, "layer1": 8, "conv1": 12, "bn1": 12}
GRADUAL = ("finetune=gradual", "finetune.warmup_fraction=0.125")


def last_checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def start_step(name: str) -> int:
    return START_STEPS[name.partition(".")[0]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone with BatchNorm statistics that differ from their initial values."""
    torch.manual_seed(3)
    net = timm.create_model("test_resnet", num_classes=10)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    path = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save(net.state_dict(), path)
    return path


@pytest.mark.parametrize("cache", [[], ["callbacks.feature_cache=null"]], ids=["features", "images"])
def test_frozen_backbone_is_unchanged(tmp_path: Path, weights: Path, cache: list[str]) -> None:
    notes = watched(tmp_path / "run", f"model.weights={weights}", "finetune=head", *cache)
    end, given = last_checkpoint(tmp_path / "run")["state_dict"], torch.load(weights, weights_only=True)
    backbone = {name.removeprefix("backbone."): end[name] for name in end if name.startswith("backbone.")}
    assert set(backbone) == {name for name in given if not name.startswith("fc.")}
    assert all(torch.equal(tensor, given[name]) for name, tensor in backbone.items())
    assert not torch.equal(end["head.weight"], given["fc.weight"]), "the head is trained"
    assert len(notes["steps"]) == 16
    for step in notes["steps"].values():
        assert step["learns"] == step["has a gradient"] == step["trains"] == []
        assert list(step["rates"]) == ["head_weights", "head_biases_and_norms"]


@pytest.fixture(scope="module")
def gradual(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("gradual") / "run"
    return watched(folder, *GRADUAL), folder


def test_parts_are_unchanged_until_their_step(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, _ = gradual
    before = notes["start"]
    changed_at: dict[str, set[int]] = {part: set() for part in START_STEPS}
    for number, step in notes["steps"].items():
        for name, tensor in step["after"].items():
            if not torch.equal(tensor, before[name]):
                changed_at[name.partition(".")[0]].add(number)
        before = step["after"]
    assert changed_at == {part: set(range(first, 16)) for part, first in START_STEPS.items()}
    assert not [name for name in before if name.endswith("weight") and torch.equal(before[name], notes["start"][name])]


def test_frozen_layers_have_no_gradient(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, _ = gradual
    parameters = [name for name in notes["start"] if name.endswith(("weight", "bias"))]
    for number, step in notes["steps"].items():
        expected = [name for name in parameters if start_step(name) <= number]
        assert step["learns"] == step["has a gradient"] == expected


def test_frozen_batch_norms_train_only_scale_and_shift(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, _ = gradual
    start, end = notes["start"], notes["steps"][15]["after"]
    statistics = [name for name in end if "running_" in name or name.endswith("num_batches_tracked")]
    assert len(statistics) == 45
    assert all(torch.equal(end[name], start[name]) for name in statistics)
    assert not torch.equal(end["layer4.0.bn1.weight"], start["layer4.0.bn1.weight"])


def test_unfrozen_batch_norms_update_statistics(tmp_path: Path) -> None:
    notes = watched(tmp_path / "run", *GRADUAL, "finetune.freeze_batch_norm=false")
    end = notes["steps"][15]["after"]
    counts = {name: int(tensor) for name, tensor in end.items() if name.endswith("num_batches_tracked")}
    assert counts == {name: 16 - start_step(name) for name in counts}
    assert len(counts) == 15


def test_only_unfrozen_layers_are_in_training_mode(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, _ = gradual
    for number, step in notes["steps"].items():
        layers = {name.partition(".")[0] for name in step["trains"]} & START_STEPS.keys()
        assert layers == {part for part, first in START_STEPS.items() if first <= number} - {"bn1"}
        assert not [name for name in step["trains"] if ".bn" in name]


def test_rates_equal_those_of_show_finetune(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, folder = gradual
    shown = simulate_rates(compose([f"hydra.run.dir={folder}", *SHORT, *GRADUAL]))
    assert shown.epoch_steps == 4
    seen = {name: [step["rates"][name] for step in notes["steps"].values()] for name in notes["steps"][0]["rates"]}
    assert seen == shown.groups
    head, first, second = (seen[f"{name}_weights"] for name in ("head", "layer_4", "layer_3"))
    assert first[:4] == [0.0] * 4
    assert first[4] == pytest.approx(head[4] * 0.8 / 2), "the first of two steps of warm-up"
    assert first[5:] == pytest.approx([0.8 * rate for rate in head[5:]])
    assert second[5:] == pytest.approx([0.64 * rate for rate in head[5:]])


def test_checkpoint_alone_reproduces_logits(gradual: tuple[dict[str, Any], Path]) -> None:
    notes, folder = gradual
    assert last_checkpoint(folder)["hyper_parameters"]["weights"] == "none", "nothing is downloaded again"
    with torch.inference_mode():
        logits = load_model(folder / "checkpoints" / "last.ckpt").eval()(IMAGES)
    assert torch.allclose(logits, notes["logits"], atol=1e-5)


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    plan = ("finetune=gradual", "finetune.unfreeze=[2]", "trainer.accumulate_grad_batches=3")
    steps = watched(tmp_path / "run", *plan)["steps"]
    shown = simulate_rates(compose([f"hydra.run.dir={tmp_path}", *SHORT, *plan]))
    assert (len(steps), shown.epoch_steps) == (8, 2), "of three batches, and of one"
    assert [len(step["learns"]) for step in steps.values()] == [0] * 4 + [45] * 4
    assert {name: [step["rates"][name] for step in steps.values()] for name in shown.groups} == shown.groups


def fit(cfg: Any, folder: Path, checkpoint: Path | None = None) -> Watch:
    torch.manual_seed(0)
    data = instantiate(cfg.data, order_seed=0)
    parts = {group: instantiate(cfg[group]) for group in ("optimizer", "scheduler", "finetune")}
    model, watch = instantiate(cfg.model, spec=data.spec, **parts), Watch()
    kept = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=4, limit_val_batches=1, callbacks=[watch, kept], default_root_dir=folder, **quiet
    )
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return watch


@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")  # frozen modules
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_resumed_run_unfreezes_the_same_layers(compose_run: Compose, tmp_path: Path) -> None:
    cfg = compose_run(*SHORT, "finetune=gradual", "finetune.unfreeze=[1,0.6,3]")
    whole = fit(cfg, tmp_path)
    rest = fit(cfg, tmp_path, tmp_path / "epoch=1.ckpt")
    assert list(rest.steps) == list(range(8, 16))
    assert {len(step["learns"]) for step in rest.steps.values()} == {21, 36, 45}
    for number, step in rest.steps.items():
        then = whole.steps[number]
        assert all(step[what] == then[what] for what in ("rates", "learns", "has a gradient", "trains", "loss"))
        assert all(torch.equal(tensor, then["after"][name]) for name, tensor in step["after"].items())


@pytest.mark.slow
def test_two_processes_unfreeze_like_one(tmp_path: Path) -> None:
    plan = (
        *("finetune=gradual", "model.backbone=test_vit", "optimizer=sgd", "optimizer.lr=0.01"),
        *("trainer.max_epochs=2", "finetune.unfreeze=[0.34,0.67]", "+trainer.limit_train_batches=3"),
    )
    alone = watched(tmp_path / "alone", *plan)
    watched(tmp_path / "two", *plan, "accelerator=ddp_cpu", "data.batch_size=16")
    first, second = (torch.load(tmp_path / "two" / f"watch-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert set(first["steps"]) == set(alone["steps"]) == set(range(6))
    assert [len(step["learns"]) for step in first["steps"].values()] == [0, 0, 50, 50, 78, 78]
    for number, step in first["steps"].items():
        other, one = second["steps"][number], alone["steps"][number]
        if number:  # a new head gives all examples the same first loss
            assert step["loss"] != other["loss"], "each process has examples of its own"
        assert (step["loss"] + other["loss"]) / 2 == pytest.approx(one["loss"], rel=1e-4)
        for name, tensor in step["after"].items():
            assert torch.equal(tensor, other["after"][name])
            assert torch.allclose(tensor, one["after"][name], atol=1e-5)
    assert not [
        name for name, tensor in first["start"].items() if torch.equal(tensor, first["steps"][5]["after"][name])
    ]
    assert (tmp_path / "two" / "run.log").read_text().count("3x32x32 for the backbone") == 1
