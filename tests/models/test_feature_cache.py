"""A run with cached features equals a run without them, and the backbone runs once for all runs."""

import csv
import json
import logging
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import DictConfig

from tests.conftest import Compose
from trainyard.data.sources.builtin import Shapes
from trainyard.models.feature_cache import feature_key
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.run.training import train

REPOSITORY = Path(__file__).parents[2]
SHAPES = ("data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=16")
RESNET = ("model=transfer", "model.backbone=test_resnet", "model.weights=none", "model.image_size=32")
SHORT = (*SHAPES, *RESNET, "optimizer.lr=0.02", "trainer.max_epochs=4", "accelerator=cpu", "logger=csv")
SHORTER = (*SHORT, "trainer.max_epochs=1")
WITHOUT = "callbacks.feature_cache=null"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached features."""
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The labels of each training batch."""
    seen: list[list[int]] = []
    step = SupervisedModel.training_step

    def noted(self: SupervisedModel, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen.append(batch[1].tolist())
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SupervisedModel, "training_step", noted)
    return seen


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each call of the backbone."""
    counts: list[int] = []
    features = TransferModel.features

    def noted(self: TransferModel, x: torch.Tensor) -> torch.Tensor:
        counts.append(len(x))
        return features(self, x)

    monkeypatch.setattr(TransferModel, "features", noted)
    return counts


def entries(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()]


def result_of(cfg: DictConfig) -> dict:
    return json.loads((Path(cfg.run.dir) / "result.json").read_text())


def scores_of(cfg: DictConfig) -> list[float]:
    """Return all losses and accuracies of a run in order."""
    with (Path(cfg.run.dir) / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [float(row[name]) for row in rows for name in sorted(row) if row[name] and "/" in name]


def weights_of(cfg: DictConfig) -> dict[str, torch.Tensor]:
    return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_run(one: DictConfig, other: DictConfig) -> None:
    assert scores_of(one) == pytest.approx(scores_of(other), abs=1e-5)
    assert result_of(one)["metrics"] == pytest.approx(result_of(other)["metrics"], abs=1e-5)
    weights, others = weights_of(one), weights_of(other)
    assert list(weights) == list(others)
    assert all(torch.allclose(weights[name], others[name], atol=1e-5) for name in weights)


@pytest.mark.parametrize(("backbone", "workers"), [("test_resnet", 1), ("test_vit", 0)])
def test_a_run_with_cached_features_equals_one_without(
    compose_run: Compose, labels: list[list[int]], passes: list[int], backbone: str, workers: int
) -> None:
    options = [*SHORT, f"model.backbone={backbone}"]
    cached, plain, again, streamed = (
        compose_run(*options, *more, folder=folder)
        for folder, more in {
            "cached": [],
            "plain": [WITHOUT],
            "again": [],
            "streamed": ["data.resident=false", f"data.num_workers={workers}"],
        }.items()
    )
    images = []
    for cfg in (cached, plain, again, streamed):
        train(cfg)
        images.append(sum(passes))
        passes.clear()
    counted = 2  # to measure the cost of a forward pass
    expected = [60, 4 * (42 + 9) + 9 + 9, 0, 0]  # the last 9 for the predictions of the best epoch
    assert images == [counted + number for number in expected]
    orders = [labels[run * 12 : (run + 1) * 12] for run in range(4)]
    assert len(labels) == 4 * 12
    assert orders[0] == orders[1] == orders[2] == orders[3]
    assert orders[0][:3] != orders[0][3:6], "each epoch has another order"
    for cfg in (cached, again, streamed):
        assert_same_run(cfg, plain)


def test_the_result_states_whether_features_were_computed(compose_run: Compose, cache: Path) -> None:
    first, second = compose_run(*SHORTER), compose_run(*SHORTER, "optimizer.lr=0.1", folder="second")
    for cfg in (first, second):
        train(cfg)
    made, found = (result_of(cfg)["data"]["features"] for cfg in (first, second))
    assert made == {"images": 60, "computed": True}
    assert found == {"images": 60, "computed": False}
    assert f"cached in {cache}" in (Path(first.run.dir) / "run.log").read_text()
    assert f"features   of 60 images from {cache}" in (Path(second.run.dir) / "run.log").read_text()


@pytest.mark.parametrize(("option", "said"), [("augment=flip", True), ("finetune=full", False)])
def test_features_are_not_cached_with_augmentation_or_fine_tuning(
    compose_run: Compose, cache: Path, caplog: pytest.LogCaptureFixture, option: str, said: bool
) -> None:
    caplog.set_level(logging.INFO)
    cfg = compose_run(*SHORTER, option)
    train(cfg)
    assert set(result_of(cfg)["data"]) == {"fingerprint"}
    assert entries(cache) == []
    lines = [record.message for record in caplog.records if record.message.startswith("features")]
    assert len(lines) == said
    assert not said or "not cached: random augmentation changes the images" in lines[0]


def test_folds_share_features(compose_run: Compose, cache: Path) -> None:
    folds = [compose_run(*SHORTER, f"data.fold={fold}", folder=str(fold)) for fold in (0, 1)]
    for cfg in folds:
        train(cfg)
    assert [result_of(cfg)["data"]["features"]["computed"] for cfg in folds] == [True, False]
    assert len(entries(cache)) == 1
    assert scores_of(folds[0]) != scores_of(folds[1])


def key(precision: str = "32-true", seed: int = 0, head_seed: int = 0, channels_last: bool = False, **model) -> str:
    spec = Shapes(30, 32, batch_size=16).spec
    torch.manual_seed(seed)
    made = TransferModel(spec, **{"backbone": "test_resnet", "image_size": 32, **model})
    torch.manual_seed(head_seed)
    made.head.reset_parameters()
    if channels_last:
        made.to(memory_format=torch.channels_last)
    trainer = L.Trainer(
        accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    return feature_key(trainer, made)


def test_the_key_depends_on_weights_preprocessing_and_precision_only() -> None:
    assert key() == key() == key(head_seed=1) == key(channels_last=True) == key(label_smoothing=0.1)
    others = [key(seed=1), key(image_size=48), key(precision="bf16-mixed"), key(backbone="test_vit")]
    assert len({key(), *others}) == 5


def test_another_image_size_is_computed_separately(compose_run: Compose) -> None:
    small, large = compose_run(*SHORTER), compose_run(*SHORTER, "model.image_size=48", folder="large")
    plain = compose_run(*SHORTER, "model.image_size=48", WITHOUT, folder="plain")
    for cfg in (small, large, plain):
        train(cfg)
    assert_same_run(large, plain)
    assert scores_of(small) != pytest.approx(scores_of(large), abs=1e-5)


def test_two_simultaneous_runs_compute_features_once(tmp_path: Path, cache: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    command = [sys.executable, "train.py", *SHORT]
    runs = [
        subprocess.Popen([*command, f"hydra.run.dir={folder}"], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
        for folder in folders
    ]
    assert [run.wait(timeout=600) for run in runs] == [0, 0]
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    assert sorted(result["data"]["features"]["computed"] for result in results) == [False, True]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert len(entries(cache)) == 1
