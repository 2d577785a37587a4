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

from tests.conftest import Compose
from trainyard.run.training import train
from trainyard.sweeps.stacked.train_stacked import train_stacked

VARIED = [
    ("seed=0", "optimizer.lr=0.001"),
    ("seed=1", "optimizer.lr=0.0003", "optimizer.weight_decay=0.01", "scheduler=one_cycle"),
    ("seed=0", "optimizer=sgd", "optimizer.lr=0.001", "scheduler=constant"),
    ("seed=1", "optimizer=adamw", "optimizer.betas=[0.8,0.9]"),
]
MLP = ("model.hidden_dims=[16,8]", "trainer.max_epochs=3", "accelerator=cpu")


def together(configs: Sequence[DictConfig]) -> dict[int, BaseException | None]:
    """Train configs as a stack; return how each ended."""
    ends: dict[int, BaseException | None] = {}
    train_stacked([lambda cfg=cfg: train(cfg) for cfg in configs], ends.__setitem__)
    return ends


def pairs(compose_run: Compose, *words: str) -> list[tuple[Path, Path]]:
    """Train configs alone and as a stack; return the directories of both."""
    alone, stacked = (
        [
            compose_run(*MLP, "callbacks.budget.share=0", *words, *varied, folder=f"{way}{place}")
            for place, varied in enumerate(VARIED)
        ]
        for way in ("alone", "stacked")
    )
    for cfg in alone:
        train(cfg)
    assert together(stacked) == dict.fromkeys(range(len(VARIED)))
    return [(Path(one.run.dir), Path(other.run.dir)) for one, other in zip(alone, stacked, strict=True)]


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("64-true", 1e-8), pytest.param("32-true", 1e-4, marks=pytest.mark.slow)]
)
def test_stacked_jobs_write_the_same_files_as_single_runs(
    compose_run: Compose, precision: str, tolerance: float
) -> None:
    for one, other in pairs(compose_run, f"trainer.precision={precision}"):
        compare(one, other, tolerance)


def compare(one: Path, other: Path, tolerance: float) -> None:
    """Compare all files of two runs, without times and the names of their directories."""
    files = [sorted(re_numbered(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    assert files[0] == files[1]
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, other)]
    for result in results:
        result["seconds"] = 0.0
        result["data"].pop("features", None)
    assert_close(*results, tolerance)
    assert_close(table(one), table(other), tolerance)
    assert_close(curves(one), curves(other), tolerance)
    assert lines(one) == lines(other)
    for name in ("best.ckpt", "last.ckpt"):
        kept = [torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (one, other)]
        plain_ones = [plain(checkpoint, folder) for checkpoint, folder in zip(kept, (one, other), strict=True)]
        assert_close(*plain_ones, tolerance)


def re_numbered(path: Path) -> str:
    """A file's name without the time and the process that are part of it."""
    return str(path.with_name("events")) if path.name.startswith("events") else str(path)


def table(folder: Path) -> Any:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) if v else v for k, v in row.items()} for row in csv.DictReader(file)]


def curves(folder: Path) -> Any:
    events = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0})
    events.Reload()
    tags = events.Tags()
    shared = [tag for tag in tags["scalars"] if not tag.startswith(("speed/", "memory/"))]  # a stack has them once
    scalars = {tag: sorted((event.step, event.value) for event in events.Scalars(tag)) for tag in shared}
    shown = {
        tag: [event.encoded_image_string for event in events.Images(tag)] if tag.startswith("train/") else []
        for tag in tags["images"]  # those of predictions show them to the last digit
    }
    found = {
        **scalars,
        **shown,
        "tensors": sorted(tags["tensors"]),
        "histograms": sorted(tags["histograms"]),
        "graph": events.Graph().SerializeToString(),
    }
    return dict(sorted(found.items()))  # the files of one second are read in no order


def lines(folder: Path) -> list[str]:
    """The log without times and numbers after the point, which may differ in the last place."""
    output = (folder / "run.log").read_text().splitlines()
    return [line.partition("trainyard.")[2][:40] for line in output if "best epoch" not in line and "/" not in line]


def plain(value: Any, folder: Path) -> Any:
    """A checkpoint without its directory's name, and the draws of Python and NumPy, which a process's jobs share."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in ("python", "numpy")}
        return {plain(key, folder): plain(item, folder) for key, item in kept.items()}
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


@pytest.mark.slow
def test_stacked_heads_on_cached_features_equal_single_runs(compose_run: Compose, tmp_path: Path) -> None:
    network = timm.create_model("test_resnet", num_classes=0)
    torch.save(network.state_dict(), tmp_path / "backbone.pt")
    shared = ("model=transfer", "model.backbone=test_resnet", f"model.weights={tmp_path / 'backbone.pt'}")
    few = ("callbacks=pictures", "callbacks.embedding=null", "callbacks.ranking_curves=null")
    words = (*shared, *few, "data=shapes", "data.count=120", "data.image_size=32", "model.image_size=32")
    varied = [(f"seed={seed}", f"optimizer.lr={lr}") for seed in (3, 4) for lr in (0.001, 0.01)]
    alone, stacked = (
        [compose_run(*words, "accelerator=cpu", *own, folder=f"{way}{place}") for place, own in enumerate(varied)]
        for way in ("alone", "stacked")
    )
    for cfg in alone:
        train(cfg)
    assert together(stacked) == dict.fromkeys(range(4))
    for one, other in zip(alone, stacked, strict=True):
        compare(Path(one.run.dir), Path(other.run.dir), 1e-4)
