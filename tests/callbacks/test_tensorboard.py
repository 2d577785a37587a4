"""TensorBoard events of a run, and the time for figures."""

import csv
import io
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import Compose
from trainyard.callbacks.tensorboard import DrawingBudget, find_drawing_budget, purge_events
from trainyard.callbacks.tensorboard_model import GradientNorm
from trainyard.config.composition import compose
from trainyard.reports.layer_figures import as_images, image_grid
from trainyard.run.training import train

SHAPES = ("model=cnn", "data=shapes", "data.count=200", "data.image_size=32", "model.channels=[4,8]")


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    return events


def run(folder: Path, *overrides: str) -> Path:
    train(compose([f"hydra.run.dir={folder}", "trainer.max_epochs=2", "callbacks=pictures", *overrides]))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ("augment=flip", "trainer.log_every_n_steps=1", "trainer.gradient_clip_val=0.01", "optimizer=sgd")
    return run(tmp_path_factory.mktemp("images") / "run", *SHAPES, *words)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("rows") / "run", "data=penguins")


def text(events: EventAccumulator, tag: str) -> str:
    return events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_run_on_images_shows_all_figures(images: Path) -> None:
    found = events_of(images).Tags()
    maps = ["0_input", "1_block1", "2_block2"]
    assert set(found["images"]) == {
        "train/first_batch", "val/confusion_matrix", "val/mistakes", "val/calibration",
        "val/precision_recall_and_roc", *(f"feature_maps/{name}" for name in maps), "kernels/1_block1",
        "kernels/2_block2",
    }  # fmt: skip
    assert "weights/blocks.0.0.weight" in found["histograms"]
    assert {name.partition("/")[2] for name in found["histograms"] if name.startswith("weights/")} == {
        name.partition("/")[2] for name in found["histograms"] if name.startswith("gradients/")
    }


def test_a_run_on_a_table_shows_mistakes_as_rows(rows: Path) -> None:
    events = events_of(rows)
    assert set(events.Tags()["images"]) == {"val/confusion_matrix", "val/calibration", "val/precision_recall_and_roc"}
    head, _, *mistakes = text(events, "val/mistakes").splitlines()
    assert head.startswith("| predicted | confidence | true | bill_length_mm |")
    scores = json.loads((rows / "result.json").read_text())["metrics"]
    assert len(mistakes) == min(16, round((1 - scores["val/acc"]) * 51)) > 0


def test_validation_predictions_match_the_best_score(images: Path) -> None:
    with np.load(images / "predictions" / "val.npz", allow_pickle=False) as kept:
        accuracy = float((kept["probabilities"].argmax(1) == kept["labels"]).mean())
    assert accuracy == pytest.approx(json.loads((images / "result.json").read_text())["metrics"]["val/acc"], abs=1e-6)
    table = text(events_of(images), "val/per_class").splitlines()
    assert sum(int(line.split("|")[2]) for line in table[2:-1]) == int(table[-1].split("|")[2]) == 30


def test_sizes_of_feature_maps_and_kernels(images: Path) -> None:
    events = events_of(images)
    sizes = {}
    for tag in events.Tags()["images"]:
        sizes[tag] = Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string)).size
    assert sizes["feature_maps/0_input"] == (64, 64)
    assert sizes["feature_maps/1_block1"] == (4 * 66 + 2, 68), "4 maps of 16x16, each pixel 4 times as large"
    assert sizes["kernels/1_block1"] == (4 * 50 + 2, 52), "4 kernels of 3x3 in colour"
    assert sizes["kernels/2_block2"][0] == 8 * 50 + 2, "32 kernels of 3x3, in rows of 8"
    assert sizes["val/confusion_matrix"][0] > 400


def test_the_gradient_norm_is_logged_before_clipping(images: Path) -> None:
    with (images / "metrics.csv").open() as file:
        norms = [float(row["gradient/norm"]) for row in csv.DictReader(file) if row["gradient/norm"]]
    steps = [event.step for event in events_of(images).Scalars("gradient/norm")]
    assert steps == list(range(len(norms)))
    assert min(norms) > 0.01, "after clipping it would be 0.01"


def test_the_gradient_norm_excludes_the_loss_scale() -> None:
    parameters = [
        torch.nn.Parameter(torch.zeros(2)),
        torch.nn.Parameter(torch.zeros(1)),
        torch.nn.Parameter(torch.zeros(3)),
    ]
    parameters[0].grad, parameters[1].grad = torch.tensor([6.0, 0.0]), torch.tensor([8.0])
    logged: list[Any] = []
    trainer = SimpleNamespace(
        global_step=14,  # of two optimizers
        log_every_n_steps=4,
        should_stop=False,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(logged_steps=8)),
        precision_plugin=SimpleNamespace(scaler=SimpleNamespace(get_scale=lambda: 4.0)),
        loggers=[SimpleNamespace(log_metrics=lambda metrics, step: logged.append((metrics, step)))],
    )
    GradientNorm().on_before_optimizer_step(trainer, None, torch.optim.SGD(parameters, lr=1.0))  # type: ignore[arg-type]
    assert logged == [({"gradient/norm": 2.5}, 7)]
    trainer.fit_loop.epoch_loop.logged_steps = 9
    GradientNorm().on_before_optimizer_step(trainer, None, torch.optim.SGD(parameters, lr=1.0))  # type: ignore[arg-type]
    assert len(logged) == 1, "every fourth step"


def test_speed_and_memory_are_logged_once_per_epoch_to_tensorboard_only(images: Path) -> None:
    events = events_of(images)
    validations = [event.step for event in events.Scalars("val/acc")]
    for tag in ("speed/examples_per_second", "memory/process_mib"):
        assert [event.step for event in events.Scalars(tag)] == validations
        assert all(event.value > 1 for event in events.Scalars(tag))
    assert "speed" not in (images / "metrics.csv").read_text()


def test_training_and_validation_share_a_chart(images: Path) -> None:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    events = events_of(images)
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for part in layout.category for chart in part.chart}
    assert charts["loss"] == ["train/loss", "val/loss"]
    assert list(charts) == ["loss", "acc", "learning rate", "gradient norm"]
    scalars = set(events.Tags()["scalars"])
    assert {tag for tags in charts.values() for tag in tags if "*" not in tag} <= scalars


def test_config_and_provenance_are_texts(images: Path) -> None:
    events = events_of(images)
    assert "trainyard.models.cnn.CNN" in text(events, "config")
    written = yaml.safe_load(text(events, "provenance"))
    stored = json.loads((images / "provenance.json").read_text())
    assert written["packages"]["torch"] == stored["packages"]["torch"]
    assert (written["directory"], written["command"]) == (stored["directory"], stored["command"])
    assert (written["git"] or {}).get("commit") == (stored["git"] or {}).get("commit")


@pytest.mark.parametrize(("kind", "count", "width"), [("images", 30, 30), ("rows", 51, 32)])
def test_projector_files(kind: str, count: int, width: int, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind) / "tensorboard"
    config = (folder / "projector_config.pbtxt").read_text()
    [points] = folder.glob("*/*/tensors.tsv")
    lines = [line.split("\t") for line in points.read_text().splitlines()]
    assert str(points.relative_to(folder)) in config
    assert (len(lines), len(lines[0])) == (count, width), "at most 32 principal components"
    names = points.with_name("metadata.tsv").read_text().splitlines()
    assert names[0] == "true\tpredicted\tright"
    assert len(names) == count + 1
    assert points.with_name("sprite.png").is_file() == (kind == "images")
    if kind == "images":
        with Image.open(points.with_name("sprite.png")) as sprite:
            assert sprite.size == (6 * 48, 6 * 48), "30 in 6 rows of 6"


def test_images_are_shown_with_cached_features(tmp_path: Path) -> None:
    backbone = ("model=transfer", "model.backbone=test_resnet", "model.weights=none", "model.image_size=32")
    folder = run(
        tmp_path / "run",
        *backbone,
        "data=shapes",
        "data.count=60",
        "data.image_size=32",
        "data.batch_size=32",
        "trainer.max_epochs=1",
    )
    found = set(events_of(folder).Tags()["images"])
    assert {
        "val/mistakes",
        "feature_maps/0_input",
        "feature_maps/1_convolution",
        "kernels/1_convolution",
        "feature_maps/2_act1",
    } <= found
    assert list(folder.glob("tensorboard/*/*/sprite.png"))


def test_a_vision_transformer_shows_patch_kernels_but_no_token_maps(tmp_path: Path) -> None:
    backbone = ("model=transfer", "model.backbone=test_vit", "model.weights=none")
    shapes = ("data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=32", "trainer.max_epochs=1")
    tags = events_of(run(tmp_path / "run", *backbone, *shapes)).Tags()["images"]
    assert {tag for tag in tags if tag.startswith("kernels/")} == {"kernels/1_convolution"}
    maps = {tag for tag in tags if tag.startswith("feature_maps/")}
    assert maps == {"feature_maps/0_input", "feature_maps/1_convolution"}
    assert list((tmp_path / "run").glob("tensorboard/*/val_embedding/tensors.tsv"))
    assert "no figure of" not in (tmp_path / "run" / "run.log").read_text()


def test_special_characters_in_class_names(tmp_path: Path) -> None:
    names = (r"$\foo{$", "<50k$ to $60k", "a\tb|c")
    lines = [f"{number % 7},{number % 5},{names[number % 3]}" for number in range(90)]
    (tmp_path / "table.csv").write_text("\n".join(["x,$y$,kind", *lines]) + "\n")
    words = ("data=table", f"data.path={tmp_path / 'table.csv'}", "data.target=kind", "data.batch_size=16")
    folder = run(tmp_path / "run", *words)
    assert json.loads((folder / "result.json").read_text())["status"] == "completed"
    assert "no figure of" not in (folder / "run.log").read_text()
    assert "val/confusion_matrix" in events_of(folder).Tags()["images"]
    [points] = folder.glob("tensorboard/*/*/metadata.tsv")
    assert {line.count("\t") for line in points.read_text().splitlines()} == {2}


def test_an_error_in_a_figure_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(predictions: Any) -> Any:
        raise ValueError("no paint")

    monkeypatch.setattr("trainyard.reports.validation_figures.calibration_figure", broken)
    folder = run(tmp_path / "run", "data=penguins")
    assert "no figure of Calibration: ValueError: no paint" in (folder / "run.log").read_text()
    assert json.loads((folder / "result.json").read_text())["status"] == "completed"


def test_figures_over_the_budget_are_skipped_and_counted(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", "callbacks=default", "callbacks.budget.share=0")
    assert not events_of(folder).Tags()["images"][1:]
    assert "figures    6 skipped: they would take more than 0 % of the run" in (folder / "run.log").read_text()


def test_the_budget_is_shared_by_all_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = DrawingBudget(0.02)
    assert not budget.allows(0.1)
    now[0] += 10.0
    assert budget.allows(0.2)
    assert not budget.allows(0.2, part=0.5)
    with budget.measure():
        now[0] += 0.15
    assert not budget.allows(0.2)
    assert budget.allows(0.05)


def test_without_a_budget_everything_is_drawn() -> None:
    assert find_drawing_budget(SimpleNamespace(callbacks=[])).allows(1e9)  # type: ignore[arg-type]


def test_kernels_with_other_than_three_channels_are_shown_per_channel() -> None:
    assert as_images(torch.rand(8, 3, 5, 5)).shape == (8, 3, 5, 5)
    assert as_images(torch.rand(4, 2, 5, 5)).shape == (8, 1, 5, 5)
    assert as_images(torch.rand(64, 64, 3, 3)).shape == (64, 1, 3, 3)


def test_each_map_goes_from_black_to_white() -> None:
    picture = image_grid(torch.tensor([[[[1.0, 3.0]]], [[[-200.0, 100.0]]]]), 2)
    assert picture[0, 2, 2:4].tolist() == pytest.approx([0.0, 1.0], abs=1e-3)
    assert picture[0, 2, 6:8].tolist() == pytest.approx([0.0, 1.0], abs=1e-3)


def test_a_resumed_run_has_each_event_once(tmp_path: Path) -> None:
    """Also if a kill has truncated the file, or both sessions start within the same second."""
    for session, start in enumerate((0, 2, 2)):
        logger = TensorBoardLogger(tmp_path, name="tensorboard", version="")
        if session:
            [*_, file] = sorted((tmp_path / "tensorboard").glob("events*"))
            file.write_bytes(file.read_bytes()[:-5])  # killed in the middle of the last step
            purge_events(SimpleNamespace(loggers=[logger]), start)  # type: ignore[arg-type]
        for step in range(start, start + 3):
            logger.log_metrics({"loss": 10.0 * session + step}, step)
            logger.experiment.add_image("image", np.full((3, 4, 4), session, np.uint8), step)
        logger.finalize("")
    events = events_of(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (0, 0),
        (1, 1),
        (2, 22),
        (3, 23),
        (4, 24),
    ]
    assert [event.step for event in events.Images("image")] == [0, 1, 2, 3, 4]


def test_tracing_the_graph_does_not_change_training(compose_run: Compose) -> None:
    def weights(*overrides: str, folder: str) -> dict[str, torch.Tensor]:
        cfg = compose_run("model=cnn", "logger=tensorboard", *overrides, folder=folder)
        train(cfg)
        return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]

    traced, plain = weights(folder="a"), weights("callbacks=none", folder="b")
    assert all(torch.equal(traced[name], plain[name]) for name in plain)
