"""Evaluating runs on numbers and labels: scores of the run, other data, views, ensembles, and a task of a user."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torchmetrics.functional import mean_squared_error

from tests.inference.number_images import Brightness
from trainyard.config.composition import compose, instantiate
from trainyard.history.saved_predictions import read_predictions
from trainyard.inference.ensemble import load_ensemble
from trainyard.inference.evaluate import evaluate, evaluate_ensemble, same_scores, write_report
from trainyard.io.errors import ConfigError
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.run.load_model import load_model
from trainyard.run.training import train

TABLE = ("model=mlp", "data=table", "data.path=rows.csv")
IMAGES = "data._target_=tests.inference.number_images.Brightness"
RUNS = {
    "number": [*TABLE, "data.target=price", "data.ignore=[area,tags]"],
    "two": [*TABLE, "data.target=[price,area]", "data.ignore=[tags]", "data.target_transform=log"],
    "labels": [*TABLE, "data.target=tags", "data.ignore=[price,area]"],
    "photos": ["model=mlp", "data=image_table", "data.path=photos.csv", "data.image=file", "data.target=[grey,dark]"],
    "images": ["model=mlp", "data=digits", "~data.digits", IMAGES, "augment=flip"],
}
SCORES = ["test/rmse", "test/mae", "test/r2", "test/loss"]


def rows(count: int = 200, seed: int = 0) -> pd.DataFrame:
    """A table with two numbers and two labels that depend on a width and a colour."""
    draws = np.random.default_rng(seed)
    width, colour = draws.normal(10, 2, count).round(2), draws.choice(["red", "green", "blue"], count)
    price = 30 * width + 100 * (colour == "red") + draws.normal(300, 10, count)
    area = 1 + np.abs(width + draws.normal(0, 0.2, count)) / 5
    wide, odd = width + draws.normal(0, 1, count) > 10, draws.random(count) < 0.3
    tags = [";".join([*["wide"] * bool(w), *["odd"] * bool(o)]) or "[]" for w, o in zip(wide, odd, strict=True)]
    return pd.DataFrame({"width": width, "colour": colour, "price": price, "area": area, "tags": tags})


def draw_photos(name: str, count: int, seed: int) -> pd.DataFrame:
    """Write a table of grey images and what they contain, and the files beside it."""
    draws = np.random.default_rng(seed)
    Path(name).mkdir()
    lines = []
    for number, grey in enumerate(draws.uniform(20, 220, count)):
        pixels = np.clip(draws.normal(grey, 10, (6, 6)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"{name}/{number}.png")
        lines.append({"file": f"{name}/{number}.png", "grey": grey.round(1), "dark": (255 - grey).round(1) / 100})
    table = pd.DataFrame(lines)
    table.to_csv(f"{name}.csv", index=False)
    return table


def fit(folder: str, *words: str) -> None:
    """Train a run of a second."""
    aim = ["objective=val/loss", "objective_mode=min"]
    train(
        compose(
            [*aim, "accelerator=cpu", "trainer.max_epochs=3", "optimizer.lr=0.02", *words, f"hydra.run.dir={folder}"]
        )
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of each kind, and sweeps of two seeds on numbers and on labels."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        rows().to_csv("rows.csv", index=False)
        draw_photos("photos", 80, seed=0)
        for name, words in RUNS.items():
            fit(f"outputs/runs/{name}", "callbacks=none", *words)
        for name in ("two", "labels"):
            for seed in range(2):
                small = [f"seed={seed}", "model.hidden_dims=[8]", "callbacks=default"]
                fit(f"outputs/sweeps/{name}/{seed}", *RUNS[name], *small)
            content = {"objective": "val/loss", "objective_mode": "min", "values": {"seed": ["0", "1"]}}
            OmegaConf.save(OmegaConf.create(content), f"outputs/sweeps/{name}/sweep.yaml")
        yield home


@pytest.fixture(autouse=True)
def change_to_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"outputs/runs/{name}/result.json").read_text())
    return content


@pytest.mark.parametrize("name", RUNS)
def test_scores_are_bitwise_those_of_the_run(name: str) -> None:
    report, _ = evaluate(name, trusted=["tests"])
    assert report.scores == {key: value for key, value in result(name)["metrics"].items() if key.startswith("test/")}
    assert "the run    has exactly the same scores" in report.notes
    for key, value in report.predictions.scores.items():
        assert value == pytest.approx(report.scores.get(f"test/{key}", value), rel=1e-4)


@pytest.mark.parametrize(("name", "prediction"), [("number", "mean"), ("two", "mean"), ("labels", "labels")])
def test_baseline_is_that_of_the_run_on_its_own_test_split(name: str, prediction: str) -> None:
    stored, (report, _) = result(name)["baseline"], evaluate(name)
    assert report.baseline.pop(prediction) == stored[prediction]
    expected = {key: value for key, value in stored.items() if key.startswith("test/")}
    assert report.baseline == pytest.approx(expected, rel=1e-5)
    assert "test/r2" in expected or "test/f1_macro" in expected


def test_predictions_are_in_the_units_of_the_data() -> None:
    report, _ = evaluate("two")
    found = report.predictions
    assert isinstance(found, NumberPredictions)
    assert found.names == ("price", "area")
    table = rows()
    worst = report.worst
    assert worst is not None
    for name, position in zip(worst.names, worst.positions, strict=True):
        row = table.iloc[int(name.removeprefix("row ")) - 1]
        assert found.targets[position].tolist() == pytest.approx([row["price"], row["area"]], rel=1e-5)
    rmse = mean_squared_error(found.numbers[:, 1], found.targets[:, 1], squared=False)
    assert report.scores["test/rmse_area"] == pytest.approx(float(rmse), rel=1e-4)


def test_other_numbers_are_evaluated() -> None:
    other = rows(60, seed=1)
    other[["price", "colour", "width"]].assign(more=1).to_csv("other.csv", index=False)
    report, _ = evaluate("number", ["data.path=other.csv"])
    assert report.examples == "all of data.path=other.csv"
    assert report.predictions.targets[:, 0].tolist() == pytest.approx(other["price"].tolist(), rel=1e-5)
    mean = result("number")["baseline"]["mean"][0]
    assert report.baseline["test/mae"] == pytest.approx((other["price"] - mean).abs().mean(), rel=1e-5)
    assert list(report.scores) == SCORES
    other.drop(columns="price").to_csv("incomplete.csv", index=False)
    with pytest.raises(ConfigError, match="price"):
        evaluate("number", ["data.path=incomplete.csv"])


def test_worst_images_are_named_by_their_files() -> None:
    report, _ = evaluate("photos")
    assert report.worst is not None
    values = pd.read_csv("photos.csv").set_index("file")
    for name, position in zip(report.worst.names, report.worst.positions, strict=True):
        assert report.predictions.targets[position].tolist() == pytest.approx(values.loc[name].tolist(), rel=1e-5)
    errors = report.predictions.errors[report.worst.positions] / report.predictions.targets.std(dim=0)
    assert errors.abs().amax(dim=1).diff().max() <= 1e-9, "the largest error first"
    table = draw_photos("more", 9, seed=1)
    table.loc[:2, "file"] = training_images()[:3]
    table.to_csv("more.csv", index=False)
    report, _ = evaluate("photos", ["data.path=more.csv"])
    assert report.predictions.targets[:, 0].tolist() == pytest.approx(table["grey"].tolist(), rel=1e-5)
    assert report.notes == ["overlap    3 of 9 examples identical to training examples of the run"]
    table.drop(columns="dark").to_csv("more.csv", index=False)
    with pytest.raises(ConfigError, match="dark"):
        evaluate("photos", ["data.path=more.csv"])


def training_images() -> list[str]:
    """Return the files of the training images of the run on photos."""
    data = instantiate(compose(RUNS["photos"]).data)
    return [data.name_of(number) for number in data.splits["train"].ids.tolist()]


def test_other_labels_are_evaluated() -> None:
    other = rows(60, seed=1)
    other.loc[other["tags"].str.contains("odd"), "tags"] = "odd"
    other.to_csv("labels.csv", index=False)
    report, _ = evaluate("labels", ["data.path=labels.csv"])
    found = report.predictions
    assert isinstance(found, LabelPredictions)
    expected = [[name in tags.split(";") for name in found.names] for tags in other["tags"]]
    assert found.targets.tolist() == expected
    other.loc[0, "tags"] = "violet"
    other.to_csv("labels.csv", index=False)
    with pytest.raises(ConfigError, match="violet"):
        evaluate("labels", ["data.path=labels.csv"])


def test_views_of_images_are_averaged() -> None:
    report, _ = evaluate("images", ["augment.flip=1.0"], views=3, trusted=["tests"])
    model = load_model(Path("outputs/runs/images/checkpoints/best.ckpt"))
    x = Brightness(seed=0).splits["test"].x
    assert isinstance(x, Tensor)
    expected = (model.predict_step(x, 0) + 2 * model.predict_step(x.flip(-1), 0)).detach() / 3
    torch.testing.assert_close(report.predictions.numbers, expected, atol=1e-4, rtol=1e-4)
    assert list(report.scores) == SCORES[:3], "the loss is not that of the averaged numbers"
    single, _ = evaluate("images", trusted=["tests"])
    change = report.scores["test/rmse"] - single.scores["test/rmse"]
    assert f"test/rmse {change:+.4f} (from {single.scores['test/rmse']:.4f})" in report.notes[-1]


def test_scores_with_another_definition_are_left_out_of_averages() -> None:
    found = NumberPredictions(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]]), ("x",))
    half = NumberPredictions(torch.tensor([[1.0], [2.5]]), found.targets, ("x",))
    scores = {"test/rmse": 0.5**0.5, "test/mae": 0.7, "test/loss": 0.3}
    assert same_scores(half, found, scores) == {"test/rmse": pytest.approx(0.125**0.5)}


@pytest.mark.parametrize("name", ["two", "labels"])
def test_ensemble_averages_predictions(name: str) -> None:
    report, folder = evaluate_ensemble(f"best:{name}", 3)
    assert folder == Path("outputs/sweeps") / name
    model = load_ensemble(f"best:{name}", 3)
    single, _ = evaluate(f"{name}/0")
    inputs = rows().iloc[[int(example.removeprefix("row ")) - 1 for example in report.worst.names]]
    assert len(inputs) == len(report.worst.positions) > 0
    predicted = model.predict_step(report.worst.inputs, 0).detach()
    values = report.predictions.numbers if name == "two" else report.predictions.probabilities
    torch.testing.assert_close(values[report.worst.positions], predicted, atol=1e-4, rtol=1e-4)
    assert set(report.scores) >= ({"test/rmse_area", "test/r2"} if name == "two" else {"test/f1", "test/acc"})
    assert len(report.predictions) == len(single.predictions)
    if name == "labels":
        each = [
            load_model(Path(f"outputs/sweeps/labels/{job}/checkpoints/best.ckpt")).task.thresholds for job in (0, 1)
        ]
        assert each[0] != each[1]
        assert report.predictions.thresholds == pytest.approx(model.task.thresholds)
    assert any(note.startswith("gain       against ") for note in report.notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["number", "labels", "images"])
def test_validation_predictions_and_figures(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fit(str(folder), *RUNS[name], "callbacks=pictures")
    saved = read_predictions(folder)
    assert saved is not None
    predictions, targets = torch.from_numpy(saved.predictions), torch.from_numpy(saved.targets)
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    if name == "labels":
        loss = torch.nn.functional.binary_cross_entropy(predictions, targets.float())
        assert float(loss) == pytest.approx(metrics["val/loss"], rel=1e-4)
    else:
        rmse = mean_squared_error(predictions, targets, squared=False)
        assert float(rmse) == pytest.approx(metrics["val/rmse"], rel=1e-4)
    tags = EventAccumulator(str(folder / "tensorboard"), {"images": 0}).Reload().Tags()
    images = {tag for tag in tags["images"] if tag.startswith("val/")}
    texts = {tag.removesuffix("/text_summary") for tag in tags["tensors"] if tag.startswith("val/")}
    expected = {
        "number": ({"val/predicted_against_true", "val/residuals"}, {"val/mistakes"}),
        "labels": ({"val/precision_recall_and_roc"}, {"val/mistakes", "val/per_label"}),
        "images": ({"val/predicted_against_true", "val/residuals", "val/mistakes"}, set()),
    }
    assert (images, texts) == expected[name]
    assert "val_embedding" in (folder / "tensorboard" / "projector_config.pbtxt").read_text()


@pytest.fixture
def evaluate_command(run_command, home: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `trainyard evaluate` in the folder of the runs; return exit code, stdout and stderr."""
    monkeypatch.chdir(home)
    return partial(run_command, "evaluate")


@pytest.mark.parametrize(
    ("name", "files"), [("two", ["predicted_against_true", "residuals"]), ("labels", ["precision_recall_and_roc"])]
)
def test_command_prints_scores_and_writes_a_report(evaluate_command, name: str, files: list[str]) -> None:
    code, screen, errors = evaluate_command(name)
    assert (code, errors) == (0, "")
    for key, value in result(name)["metrics"].items():
        if key.startswith("test/"):
            [line] = [line for line in screen.splitlines() if line.split("  ")[0].strip() == key]
            assert (f"  {value:.4f}" if "/r2" in key else f"  {value:.5g}") in line
    written = Path(f"outputs/runs/{name}/evaluation")
    assert {path.name for path in written.iterdir()} == {
        "test.json",
        "test.md",
        *(f"test_{file}.png" for file in files),
    }


def test_reports_with_overrides_do_not_replace_the_own_report() -> None:
    report, folder = evaluate("number")
    write_report(report, folder / "evaluation")
    stored = json.loads((folder / "evaluation" / "test.json").read_text())
    assert stored["metrics"] == report.scores
    low, high = stored["interval"]["test/rmse"]
    assert low < stored["metrics"]["test/rmse"] < high < stored["baseline"]["test/rmse"]
    other, _ = evaluate("number", ["data.batch_size=9"])
    write_report(other, folder / "evaluation")
    assert json.loads((folder / "evaluation" / "test.json").read_text()) == stored
    assert other.scores == pytest.approx(report.scores, rel=1e-4)


@pytest.mark.parametrize("name", ["number", "labels"])
def test_views_of_rows_are_rejected(evaluate_command, name: str) -> None:
    code, _, errors = evaluate_command(name, "--tta")
    assert code == 1
    assert "--tta=: with augment=none" in errors
    assert len(errors.splitlines()) == 2
