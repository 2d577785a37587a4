"""Stacked runs have the same results as single runs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from tests.conftest import Compose
from tests.sweeps.stacked.labels import write_labels
from trainyard.history.saved_predictions import read_predictions
from trainyard.run.load_model import load_model
from trainyard.run.training import train
from trainyard.sweeps.stacked.stacked_network import StackedNetwork
from trainyard.sweeps.stacked.train_stacked import train_stacked

VARIED = [
    ("seed=1", "optimizer.lr=0.001"),
    ("seed=0", "optimizer.lr=0.0003", "optimizer.weight_decay=0.01", "scheduler=one_cycle"),
    ("seed=0", "optimizer.lr=0.001", "scheduler=constant"),
    ("seed=1", "optimizer.lr=0.002"),
]
MLP = ("model.hidden_dims=[16,8]", "trainer.max_epochs=3", "accelerator=cpu", "callbacks.budget.share=0")
DOUBLE = "trainer.precision=64-true"
PENGUINS = ("experiment=penguins_mass", "model=mlp", "model.hidden_dims=[16,8]", DOUBLE)


def together(configs: Sequence[DictConfig]) -> dict[int, BaseException | None]:
    """Train configs as a stack; return how each ended."""
    ends: dict[int, BaseException | None] = {}
    train_stacked(configs, lambda index: train(configs[index]), ends.__setitem__)
    return ends


def pairs(compose_run: Compose, *words: str, varied: Sequence[Sequence[str]] = VARIED) -> list[tuple[Path, Path]]:
    """Train configs alone and as a stack; return the directories of both."""
    alone, stacked = (
        [compose_run(*words, *own, folder=f"{way}{place}") for place, own in enumerate(varied)]
        for way in ("alone", "stacked")
    )
    for cfg in alone:
        train(cfg)
    assert together(stacked) == dict.fromkeys(range(len(varied)))
    return [(Path(one.run.dir), Path(other.run.dir)) for one, other in zip(alone, stacked, strict=True)]


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("64-true", 1e-8), pytest.param("32-true", 1e-4, marks=pytest.mark.slow)]
)
def test_stacked_jobs_have_the_results_and_checkpoints_of_single_runs(
    compose_run: Compose, precision: str, tolerance: float
) -> None:
    for one, other in pairs(compose_run, *MLP, f"trainer.precision={precision}"):
        compare(one, other, tolerance)


OTHERS = ["adadelta", "adagrad", "adamw", "lion", "nadam", "rmsprop", "sgd"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OTHERS)
def test_optimizers_that_update_each_tensor_by_itself(compose_run: Compose, optimizer: str) -> None:
    varied = [("seed=0", "optimizer.weight_decay=0.01"), ("seed=1", "optimizer.lr=0.001")]
    for one, other in pairs(compose_run, *MLP, DOUBLE, f"optimizer={optimizer}", varied=varied):
        compare(one, other, 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        PENGUINS,
        (*PENGUINS, "loss=huber", "metrics=[spearman]"),
        (*MLP, DOUBLE, "data.digits=[3,8]", "task=classification", "task.threshold=f1", "metrics=[auroc]"),
        (*MLP, DOUBLE, "augment.flip=0.5", "augment.mixup=0.2", "loss=focal", "data.class_weights=balanced"),
        (*MLP[:-1], DOUBLE, "data.sampler=balanced", "model.label_smoothing=0.1", "callbacks=none"),
    ],
    ids=["regression", "huber", "threshold", "augmentation", "sampler"],
)
def test_tasks_losses_and_augmentation(compose_run: Compose, words: Sequence[str]) -> None:
    for one, other in pairs(compose_run, *words, varied=[("seed=0",), ("seed=1", "optimizer.lr=0.002")]):
        compare(one, other, 1e-8)


def test_labels_have_the_thresholds_of_single_runs(compose_run: Compose, tmp_path: Path) -> None:
    words = ("model=mlp", "data=table", f"data.path={write_labels(tmp_path)}", "data.target=tags", *MLP, DOUBLE)
    runs = pairs(compose_run, *words, varied=[("seed=0",), ("seed=1", "optimizer.lr=0.01")])
    thresholds = []
    for one, other in runs:
        compare(one, other, 1e-8)
        thresholds.append(load_model(other / "checkpoints" / "best.ckpt").task.thresholds)
        assert thresholds[-1] == load_model(one / "checkpoints" / "best.ckpt").task.thresholds
    assert thresholds[0] != thresholds[1]
    assert len(thresholds[0]) == 3


def test_single_runs_resume_an_interrupted_stack(compose_run: Compose) -> None:
    words, rates = (*MLP[:-1], "callbacks=none", "trainer.max_epochs=6"), ("optimizer.lr=0.001", "optimizer.lr=0.003")
    whole, stacked = ([compose_run(*words, rate, folder=way + rate[-1]) for rate in rates] for way in ("one", "stack"))
    epochs, ends = iter(range(1, 7)), dict[int, BaseException | None]()
    train_stacked(stacked, lambda index: train(stacked[index]), ends.__setitem__, lambda: next(epochs) == 3)
    assert [type(end) for end in ends.values()] == [SystemExit, SystemExit]
    for cfg, other in zip(whole, stacked, strict=True):
        assert json.loads((Path(other.run.dir) / "result.json").read_text())["status"] == "interrupted"
        assert train(other).metrics == pytest.approx(train(cfg).metrics, abs=1e-5)
        assert_close(table(Path(other.run.dir)), table(Path(cfg.run.dir)), 1e-4)


def compare(one: Path, other: Path, tolerance: float) -> None:
    """Compare the files of two runs, without times, figures and the names of their directories."""
    files = [{re_numbered(path.relative_to(folder)) for path in folder.rglob("*")} for folder in (one, other)]
    assert files[0] == files[1]
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        result["seconds"] = 0.0
        result["data"].pop("features", None)
    assert_close(*results, tolerance)
    assert_close(table(one), table(other), tolerance)
    assert_close(curves(one), curves(other), tolerance)
    assert (one / "config.yaml").read_text().replace("alone", "stacked") == (other / "config.yaml").read_text()
    for name in ("best.ckpt", "last.ckpt"):
        single, stacked = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (one, other))
        assert {"state_dict", "hyper_parameters", "model_class", "metrics"} <= {*stacked}
        single = {key: single[key] for key in stacked}
        if "callbacks" in stacked:
            single["callbacks"] = {key: single["callbacks"][key] for key in stacked["callbacks"]}
        assert_close(plain(single, one), plain(stacked, other), tolerance)
        load_model(other / "checkpoints" / name)
    saved = [read_predictions(folder) for folder in (one, other)]
    if saved[0] and saved[1]:
        assert saved[1].predictions == pytest.approx(saved[0].predictions, abs=max(tolerance, 1e-6), rel=1e-5)


def re_numbered(path: Path) -> str:
    """A file's name without the time and the process that are part of it."""
    return str(path.with_name("events")) if path.name.startswith("events") else str(path)


def table(folder: Path) -> Any:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) if v else v for k, v in row.items()} for row in csv.DictReader(file)]


def curves(folder: Path) -> Any:
    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0})
    events.Reload()
    shared = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("speed/", "memory/"))]
    return {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in sorted(shared)}


def plain(value: Any, folder: Path) -> Any:
    """A checkpoint without its directory's name, and the weight of files that Lightning compares."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not str(key).startswith(("best_k_models", "kth_"))}
        return {key: plain(kept[key], folder) for key in sorted(kept, key=str)}
    if isinstance(value, list):
        return [plain(item, folder) for item in value]
    return value.replace(str(folder), "") if isinstance(value, str) else value


def assert_close(one: Any, other: Any, tolerance: float, path: str = "") -> None:
    """Compare all that is nested: same kinds, same keys, numbers within a tolerance."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert list(one) == list(other), path
        for key in one:
            assert_close(one[key], other[key], tolerance, f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_close(*pair, tolerance, f"{path}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, path
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance, msg=lambda text: f"{path}: {text}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=tolerance, rel=tolerance), path
    else:
        assert one == other, path


def test_networks_with_embedded_categories_are_trained_alone(compose_run: Compose, tmp_path: Path) -> None:
    lines = [f"{chr(97 + row % 20)},{row % 7},{'yes' if row % 3 else 'no'}" for row in range(120)]
    (tmp_path / "table.csv").write_text("\n".join(["letter,number,target", *lines]) + "\n")
    words = ("data=table", "model=mlp", f"data.path={tmp_path / 'table.csv'}", "data.target=target", *MLP)
    for one, other in pairs(compose_run, *words, varied=[("seed=0",), ("seed=1",)]):
        assert "stacked  " not in (other / "run.log").read_text()
        results = [json.loads((folder / "result.json").read_text())["metrics"] for folder in (one, other)]
        assert results[0] == results[1]


@pytest.mark.slow
def test_stacked_heads_on_cached_features_equal_single_runs(compose_run: Compose, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=0)
    torch.save(network.state_dict(), tmp_path / "backbone.pt")
    words = ("model=transfer", "model.backbone=test_resnet", f"model.weights={tmp_path / 'backbone.pt'}")
    words += ("data=shapes", "data.count=120", "data.image_size=32", "model.image_size=32", "accelerator=cpu")
    varied = [(f"seed={seed}", f"optimizer.lr={lr}") for seed in (3, 4) for lr in (0.001, 0.01)]
    for one, other in pairs(compose_run, *words, varied=varied):
        compare(one, other, 1e-4)


def test_networks_with_the_same_seed_share_inputs_and_drop_neurons_independently() -> None:
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(5, 50), nn.Dropout(0.5), nn.Linear(50, 3)) for _ in range(4)]
    x = torch.randn(2, 7, 5)
    for network in networks:
        network.eval()
    expected = torch.stack([network(x[place // 2]) for place, network in enumerate(networks)])
    stack = StackedNetwork(networks)
    torch.testing.assert_close(stack(x), expected, atol=1e-6, rtol=1e-6)
    for network in networks:
        network.load_state_dict(networks[0].state_dict())
        network.train()
    first, second, *_ = stack(x)
    assert not torch.equal(first, second)
