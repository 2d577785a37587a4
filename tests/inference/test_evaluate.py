"""Evaluating a run from its directory gives the scores of the run bitwise, or the scores on other data."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from trainyard.config.composition import compose, instantiate
from trainyard.data.images.folder_listing import list_folder
from trainyard.data.sources.builtin import Digits
from trainyard.inference.ensemble import load_ensemble
from trainyard.inference.evaluate import evaluate, evaluate_ensemble, write_report
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model
from trainyard.run.training import train

CLASSES = ("low", "middle", "high")
RUNS = {
    "images": ["model=cnn", "model.channels=[4,8]", "channels_last=true", "augment=flip"],
    "average": ["model=mlp", "ema_decay=0.9", "data.batch_size=50"],
    "features": [
        *("model=transfer", "model.backbone=test_resnet", "model.weights=none", "model.image_size=32"),
        *("data=shapes", "data.count=80", "data.image_size=32", "data.batch_size=16", "callbacks=default"),
    ],
    "rows": ["model=mlp", "data=table", "data.path=rows.csv", "data.target=size"],
    "photos": ["model=mlp", "model.hidden_dims=[4]", "data=image_folder", "data.root=photos", "data.batch_size=8"],
}


def rows(count: int = 200, seed: int = 0) -> pd.DataFrame:
    """A table with a number, partly missing, and a category, which determine the class."""
    draws = np.random.default_rng(seed)
    width = draws.normal(10, 3, count).round(2)
    colour = draws.choice(["red", "green", "blue"], count)
    size = np.digitize(width + 4 * (colour == "red"), [9, 13])
    frame = pd.DataFrame({"width": width, "colour": colour, "size": [CLASSES[number] for number in size]})
    frame.loc[draws.random(count) < 0.05, "width"] = np.nan
    return frame


def draw_photos(root: Path, count: int, seed: int) -> None:
    """Write a folder of three classes of images of noise."""
    draws = np.random.default_rng(seed)
    for name in ("bird", "cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of each kind, and a sweep of three seeds."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        rows().to_csv("rows.csv", index=False)
        draw_photos(Path("photos"), 20, seed=0)
        common = ["accelerator=cpu", "logger=csv", "trainer.max_epochs=3", "optimizer.lr=0.02"]
        for name, words in RUNS.items():
            train(compose(["callbacks=none", *common, *words, f"hydra.run.dir=outputs/runs/{name}"]))
        for seed in range(3):
            place = f"hydra.run.dir=outputs/sweeps/S/{seed}"
            train(compose([*common, f"seed={seed}", "model.hidden_dims=[8]", place]))
        content = {"objective": "val/acc", "values": {"seed": ["0", "1", "2"]}}
        Path("outputs/sweeps/S/sweep.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(content)))
        yield home


@pytest.fixture(autouse=True)
def change_to_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def stored_scores(name: str) -> dict[str, float]:
    metrics = json.loads((Path("outputs/runs") / name / "result.json").read_text())["metrics"]
    return {key: metrics[key] for key in ("test/acc", "test/loss")}


@pytest.mark.parametrize("name", RUNS)
def test_scores_are_bitwise_those_of_the_run(name: str) -> None:
    report, folder = evaluate(name)
    assert report.scores == stored_scores(name)
    assert report.notes == ["the run    has exactly the same scores"]
    assert report.predictions.accuracy == pytest.approx(stored_scores(name)["test/acc"], abs=1e-6)
    assert folder == Path("outputs/runs") / name


def test_batch_size_changes_scores_only_by_rounding() -> None:
    report, _ = evaluate("images", ["data.batch_size=7"])
    assert report.scores == pytest.approx(stored_scores("images"), rel=1e-5)


def test_moved_table_is_still_the_test_split() -> None:
    Path("elsewhere").mkdir(exist_ok=True)
    shutil.copy("rows.csv", "elsewhere/moved.csv")
    report, _ = evaluate("rows", ["data.path=elsewhere/moved.csv"])
    assert report.examples == "test split"
    assert report.scores == stored_scores("rows")


def test_other_table_is_matched_by_column_and_class_names() -> None:
    other = rows(60, seed=1)
    other.loc[0, "colour"] = "violet"
    other[["size", "colour", "width"]].assign(more=1).to_csv("other.csv", index=False)
    report, _ = evaluate("rows", ["data.path=other.csv"])
    model = load_model(Path("outputs/runs/rows/checkpoints/best.ckpt"))
    place = {column.name: number for number, column in enumerate(model.spec.columns)}
    codes = {"blue": 1, "green": 2, "red": 3, "violet": 0}
    x = torch.empty(60, 2)
    x[:, place["width"]] = torch.tensor(other["width"].to_numpy(), dtype=torch.float32)
    x[:, place["colour"]] = torch.tensor(other["colour"].map(codes).to_numpy(), dtype=torch.float32)
    expected = model.predict_step(x, 0).detach()
    assert torch.equal(report.predictions.probabilities, expected)
    assert [report.predictions.names[label] for label in report.predictions.labels] == list(other["size"])
    assert report.examples == "all of data.path=other.csv"


def test_table_of_one_row_is_evaluated() -> None:
    rows(1, seed=2).to_csv("one.csv", index=False)
    report, _ = evaluate("rows", ["data.path=one.csv"])
    assert len(report.predictions) == 1


def test_images_in_another_folder_are_evaluated_by_class_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw_photos(tmp_path / "more", 10, seed=1)
    shutil.rmtree(tmp_path / "more" / "bird")
    for number in range(10):
        shutil.copy(tmp_path / "more" / "cat" / "0.png", tmp_path / "more" / "cat" / f"again{number}.png")
    folder = [f"data.root={tmp_path}/more"]
    report, _ = evaluate("photos", folder)
    assert report.examples == f"all of {folder[0]}"
    assert report.predictions.labels.tolist() == [1] * 20 + [2] * 10
    assert messages(caplog) == [], "duplicates between splits do not matter, since all images are evaluated"
    (tmp_path / "more" / "dog").rename(tmp_path / "more" / "horse")
    with pytest.raises(ConfigError, match="classes that training lacks: horse"):
        evaluate("photos", folder)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for _, level, text in caplog.record_tuples if level >= logging.WARNING]


def test_parts_of_another_folder_are_not_compared_with_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw_photos(tmp_path / "more", 10, seed=1)
    for number in range(10):
        shutil.copy(tmp_path / "more" / "cat" / "0.png", tmp_path / "more" / "cat" / f"again{number}.png")
    report, _ = evaluate("photos", [f"data.root={tmp_path}/more"])
    assert (len(report.predictions), messages(caplog)) == (40, [])
    assert report.notes == ["overlap    none of 40 examples identical to training examples of the run"]


def test_training_examples_of_the_run_are_counted(tmp_path: Path) -> None:
    draw_photos(tmp_path / "more", 10, seed=2)
    own = training_images("photos")
    for number, path in enumerate(own[:3]):
        shutil.copy(path, tmp_path / "more" / path.parent.name / f"own{number}.png")
    report, _ = evaluate("photos", [f"data.root={tmp_path}/more"])
    assert report.notes == ["overlap    3 of 33 examples identical to training examples of the run"]
    shutil.rmtree(tmp_path / "more")
    with Image.open(own[0]) as image:
        pixels = np.asarray(image)
    draw_photos(tmp_path / "more", 2, seed=3)
    Image.fromarray(pixels).save(tmp_path / "more" / "cat" / "other_file.bmp")
    report, _ = evaluate("photos", [f"data.root={tmp_path}/more"])
    assert report.notes == ["overlap    1 of 7 examples identical to training examples of the run"]
    rows().iloc[:5].to_csv("first.csv", index=False)
    report, _ = evaluate("rows", ["data.path=first.csv"])
    assert report.notes[0].startswith("overlap    ")
    assert "none" not in report.notes[0]


def training_images(name: str) -> list[Path]:
    """Return the files of the training images of a run."""
    data = instantiate(compose(RUNS[name]).data)
    part = data.splits["train"]
    return [Path(data.root) / file.path for file in np.array(list_folder(data.root).files, dtype=object)[part.ids]]


def test_overlap_is_unknown_without_the_training_examples(tmp_path: Path) -> None:
    draw_photos(tmp_path / "more", 5, seed=4)
    Path("photos").rename("moved")
    try:
        report, _ = evaluate("photos", [f"data.root={tmp_path}/more"])
    finally:
        Path("moved").rename("photos")
    unknown = "overlap    unknown: the training examples of the run are missing, changed or in another format"
    assert report.notes == [unknown]


def test_evaluation_logs_no_advice_on_training(caplog: pytest.LogCaptureFixture) -> None:
    other = rows(60, seed=3)
    other["colour"] = "red"
    other.to_csv("constant.csv", index=False)
    evaluate("rows", ["data.path=constant.csv"])
    assert messages(caplog) == []


def test_baseline_is_the_most_frequent_class_of_training(tmp_path: Path) -> None:
    most = json.loads(Path("outputs/runs/rows/result.json").read_text())["baseline"]
    training = rows()["size"].value_counts()
    assert most["class"] == training.index[0]
    report, _ = evaluate("rows")
    assert report.baseline == {"class": most["class"], "test/acc": most["test/acc"]}
    labels = [report.predictions.names[label] for label in report.predictions.labels]
    assert most["test/acc"] == labels.count(most["class"]) / len(labels)
    other = rows(60, seed=1)
    other.to_csv("baseline.csv", index=False)
    report, _ = evaluate("rows", ["data.path=baseline.csv"])
    share = (other["size"] == most["class"]).mean()
    assert report.baseline["test/acc"] == pytest.approx(share)
    assert f"(always '{most['class']}': {share:.4f})" in report.points[2]


def test_views_are_the_image_and_augmented_versions() -> None:
    report, _ = evaluate("images", ["augment.flip=1.0"], views=3)
    model = load_model(Path("outputs/runs/images/checkpoints/best.ckpt"))
    x = Digits(batch_size=64).splits["test"].x
    expected = (model.predict_step(x, 0) + 2 * model.predict_step(x.flip(-1), 0)).detach() / 3
    torch.testing.assert_close(report.predictions.probabilities, expected, atol=1e-5, rtol=1e-4)
    assert report.scores["test/acc"] == report.predictions.accuracy
    assert "3 views of each image: test/acc" in report.notes[0]


@pytest.mark.parametrize(
    ("name", "overrides", "views", "message"),
    [
        ("average", [], 8, "--tta=: with augment=none, the run was trained without augmentation"),
        ("rows", ["data.seed=3"], 1, "its test examples differ from those of the run"),
        ("rows", ["data.path=nowhere.csv"], 1, "data.path=nowhere.csv: there is no file"),
        ("rows", ["data.pth=other.csv"], 1, "did you mean data.path"),
        ("rows", ["batch_size=3"], 1, "did you mean data.batch_size"),
        ("rows", ["model.dropout=0.1"], 1, "not used by a trained model"),
        ("rows", ["data.batch_size=1,2"], 1, "neither a sweep nor a deletion"),
        ("rows", ["data.batch_size="], 1, "data.batch_size"),
        ("rows", ["trainer.accelerator=tpu"], 1, "trainer.accelerator=tpu: there is no tpu device here"),
        ("rows", ["trainer.precision=banana"], 1, "banana"),
        ("rows", ["trusted_packages=[mine]"], 1, "--trusted-packages NAME"),
    ],
)
def test_bad_input_is_an_error_of_two_lines(name: str, overrides: list[str], views: int, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        evaluate(name, overrides, views)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_changed_data_is_rejected(home: Path) -> None:
    try:
        rows(150, seed=5).to_csv("rows.csv", index=False)
        with pytest.raises(ConfigError, match="data=table: its test examples differ from those of the run"):
            evaluate("rows")
    finally:
        rows().to_csv("rows.csv", index=False)


def test_reports_with_overrides_do_not_replace_the_own_report() -> None:
    report, folder = evaluate("rows")
    write_report(report, folder / "evaluation")
    stored = json.loads((folder / "evaluation" / "test.json").read_text())
    assert stored["metrics"] == stored_scores("rows")
    assert sum(map(sum, stored["confusion_matrix"])) == stored["examples"]["count"] == len(report.predictions)
    assert [row["name"] for row in stored["classes"]] == list(report.predictions.names)
    low, high = stored["interval"]["test/acc"]
    assert low <= stored["metrics"]["test/acc"] <= high
    assert 0 <= stored["calibration_error"] <= 1
    page = (folder / "evaluation" / "test.md").read_text()
    assert "| class | examples | precision | recall | F1 |" in page
    assert "![test_confusion_matrix.png](test_confusion_matrix.png)" in page
    other, _ = evaluate("rows", ["data.batch_size=9"])
    write_report(other, folder / "evaluation")
    assert json.loads((folder / "evaluation" / "test.json").read_text()) == stored
    assert len(list((folder / "evaluation").glob("test-*.json"))) == 1


def test_ensemble_averages_its_members() -> None:
    report, folder = evaluate_ensemble("best:S", 4)
    [line] = [note for note in report.notes if note.startswith("members")]
    words = line.split("(of")[0].replace(",", "").split()[1:]
    times = {name: 1 for name in words if name.startswith("S/")}
    for place, word in enumerate(words):
        if word == "x":
            times[words[place - 1]] = int(words[place + 1])
    assert sum(times.values()) == 4
    each = {name: evaluate(name)[0].predictions.probabilities for name in times}
    expected = sum(each[name] * count for name, count in times.items()) / 4
    torch.testing.assert_close(report.predictions.probabilities, expected)
    x = Digits(batch_size=64).splits["test"].x
    assert isinstance(x, torch.Tensor)
    torch.testing.assert_close(load_ensemble("best:S", 4).predict_step(x, 0).detach(), expected, atol=1e-6, rtol=1e-4)
    assert folder == Path("outputs/sweeps/S")
    assert any(note.startswith("gain       against S/") for note in report.notes)


@pytest.fixture
def evaluate_command(run_command, home: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `trainyard evaluate` in the folder of the runs; return exit code, stdout and stderr."""
    monkeypatch.chdir(home)
    return partial(run_command, "evaluate")


def test_command_prints_scores_and_writes_a_report(evaluate_command) -> None:
    code, screen, errors = evaluate_command("rows")
    assert (code, errors) == (0, "")
    result = json.loads(Path("outputs/runs/rows/result.json").read_text())
    accuracy, baseline = result["metrics"]["test/acc"], result["baseline"]
    assert f"test/acc   {accuracy:.4f} (always '{baseline['class']}': {baseline['test/acc']:.4f})  [" in screen
    assert "has exactly the same scores" in screen
    assert all(name in screen for name in CLASSES)
    assert Path("outputs/runs/rows/evaluation/test.json").is_file()


def test_report_is_written_into_the_output_folder(evaluate_command, tmp_path: Path) -> None:
    code, _, _ = evaluate_command("rows", "--output", str(tmp_path / "there"), "data.batch_size=5")
    assert code == 0
    [stored] = (tmp_path / "there").glob("test-*.json")
    assert json.loads(stored.read_text())["options"] == ["data.batch_size=5"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nothing"], 1, "RUN=nothing: unknown run"),
        (["rows", "batch_size=3"], 1, "did you mean data.batch_size or data.default_batch_size?"),
        (["rows", "--ensemble", "3"], 1, "accepted: best:SWEEP as the RUN"),
        (["rows", "--ensemble", "0"], 2, "--ensemble: 0 is not a whole number from 1"),
        (["rows", "--ensemble", "2", "--tta"], 2, "argument --tta: not allowed with argument --ensemble"),
        (["rows", "--ttta"], 2, "--ttta"),
        (["rows", "--output", "/proc/x"], 1, "--output=/proc/x: cannot be written"),
        (["rows", "--tta"], 1, "with augment=none, the run was trained without augmentation"),
        ([], 2, "RUN"),
    ],
)
def test_command_rejects_bad_input_without_a_traceback(
    evaluate_command, words: list[str], code: int, message: str
) -> None:
    exit_code, _, errors = evaluate_command(*words)
    assert exit_code == code
    assert message in errors
    assert "Traceback" not in errors


def test_closed_pipe_is_not_an_error(home: Path) -> None:
    line = f"set -o pipefail; {sys.executable} -m trainyard evaluate rows | head -1"
    process = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600, cwd=home)
    assert process.stdout.startswith("model ")
    assert process.stderr == ""
