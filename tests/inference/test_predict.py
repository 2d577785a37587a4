"""`trainyard predict`: its output, exit codes, errors, progress bar and interruptions."""

import csv
import io
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.inference.conftest import PredictCommand
from tests.inference.untrained import IMAGES, ROWS, TABLE, model_of, save
from tests.terminal.pseudo_terminal import on_screen
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.inference.predict import predict, predict_batch, predict_files
from trainyard.inference.prediction_batches import InputBatch
from trainyard.inference.predictions_csv import PredictionsCSV
from trainyard.models.supervised import SupervisedModel
from trainyard.tasks.build import build_task
from trainyard.tasks.task import Task
from trainyard.terminal import display

DRAWS = np.random.default_rng(0)


def save_image(name: str) -> np.ndarray:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = DRAWS.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name)
    return pixels.transpose(2, 0, 1)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def probabilities(table: list[list[str]]) -> np.ndarray:
    return np.array([row[2:] for row in table[1:]], dtype=np.float32)


def test_images_from_folder_pattern_and_file(predict_command: PredictCommand) -> None:
    names = ["photos/2.png", "photos/10.png", "more/a.png", "one.png"]
    pixels = np.stack([save_image(name) for name in names])
    code, screen, errors = predict_command("images.ckpt", "photos", "more/*.png", "one.png", "--batch-size", "3")
    assert (code, errors) == (0, "")
    table = rows(screen)
    assert table[0] == ["input", "prediction", "cat", "dog", "cow"]
    assert [row[0] for row in table[1:]] == names
    expected = model_of(IMAGES).predict_step(torch.from_numpy(pixels), 0).detach().numpy()
    assert np.abs(probabilities(table) - expected).max() < 1e-6
    assert np.abs(probabilities(table).sum(axis=1) - 1).max() < 1e-6
    assert [row[1] for row in table[1:]] == [IMAGES.classes[best] for best in expected.argmax(axis=1)]


def test_options_may_precede_the_run(predict_command: PredictCommand) -> None:
    Path("a.csv").write_text(TABLE)
    code, screen, errors = predict_command("--output", "out.csv", "rows.ckpt", "--batch-size=2", "a.csv")
    assert (code, screen, errors) == (0, "", "")
    x = torch.tensor([[1.5, 2, 40], [2.5, 1, 60], [float("nan"), 0, 70]])
    expected = model_of(ROWS).predict_step(x, 0).detach().numpy()
    table = rows(Path("out.csv").read_text())
    assert [row[0] for row in table] == ["input", "1", "2", "3"]
    assert np.abs(probabilities(table) - expected).max() < 1e-6


def test_table_from_standard_input(predict_command: PredictCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.csv").write_text(TABLE)
    _, expected, _ = predict_command("rows.ckpt", "a.csv")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.replace(",", ";").encode())))
    assert predict_command("rows.ckpt", "-") == (0, expected, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    _, screen, _ = predict_command("rows.ckpt", "a.csv", "-")
    assert [row[0] for row in rows(screen)][1:] == ["a.csv:1", "a.csv:2", "a.csv:3", "stdin:1", "stdin:2", "stdin:3"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, screen, errors = predict_command("rows.ckpt", "-")
    assert (code, screen) == (1, "")
    assert errors.startswith("INPUT=stdin: the file is empty\n")


def test_unreadable_inputs_are_error_rows_and_counted(predict_command: PredictCommand) -> None:
    save_image("a/1.png")
    Path("a/2.png").write_text("no image")
    save_image("a/3.png")
    code, screen, errors = predict_command("images.ckpt", "a")
    assert (code, errors) == (1, "1 of 3 inputs could not be predicted\n")
    table = rows(screen)
    assert table[2] == ["a/2.png", "error: not an image that Pillow can read", "", "", ""]
    assert all(row[1] in IMAGES.classes for row in (table[1], table[3]))
    Path("t.csv").write_text("mass,length,town\n1,x,7\n2,3,7\n")
    code, screen, errors = predict_command("rows.ckpt", "t.csv", "--output", "out.csv")
    assert (code, screen, errors) == (1, "", "1 of 2 inputs could not be predicted\n")
    assert rows(Path("out.csv").read_text())[1] == ["1", "error: length is not a number: x", "", "", ""]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rows.ckp", "a.csv"], 1, "RUN=rows.ckp: unknown run"),
        (["rows.ckpt", "a.cvs"], 1, "INPUT: a.cvs: no such file; did you mean a.csv"),
        (["rows.ckpt", "a.csv", "b.png"], 1, "INPUT: b.png is an image, and rows.ckpt (MLP) takes rows"),
        (["images.ckpt", "a.csv"], 1, "INPUT: a.csv is a table, and images.ckpt (MLP) takes images"),
        (["rows.ckpt", "bad.csv"], 1, "INPUT=bad.csv: no column length; no column town"),
        (["rows.ckpt", "a.csv", "--output", "a.csv"], 1, "--output=a.csv: it is one of the inputs"),
        (["rows.ckpt", "a.csv", "--output", "rows.ckpt"], 1, "--output=rows.ckpt: it is one of the inputs"),
        (["rows.ckpt", "a.csv", "--output", "no/o.csv"], 1, "--output=no/o.csv: no such folder"),
        (["other.ckpt", "a.csv"], 1, "other.ckpt: model_class=mine.MLP: a stored config must not build it here"),
        (["b.ckpt", "a.csv"], 1, "checkpoint=b.ckpt: it contains more than weights"),
        (["rows.ckpt"], 1, "RUN=rows.ckpt: a checkpoint outside of a run"),
        (["rows.ckpt", "a.csv", "--batch-size", "0"], 2, "0 is not a whole number from 1"),
        (["rows.ckpt", "a.csv", "--batch", "3"], 2, "unknown option --batch; did you mean --batch-size?"),
    ],
)
def test_bad_input_is_rejected_and_no_file_is_written(
    predict_command: PredictCommand, words: list[str], code: int, message: str
) -> None:
    Path("a.csv").write_text(TABLE)
    Path("bad.csv").write_text("mass\n1\n")
    Path("b.ckpt").write_text("no checkpoint")
    save_image("b.png")
    save(model_of(ROWS), Path("other.ckpt"), model_class="mine.MLP")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    found, screen, errors = predict_command(*words)
    assert (found, screen) == (code, "")
    assert message in errors
    assert "Traceback" not in errors
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_trusted_package_is_loaded(predict_command: PredictCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text("from trainyard.models.mlp import MLP\nclass Own(MLP):\n    pass\n")
    monkeypatch.syspath_prepend(".")
    Path("a.csv").write_text(TABLE)
    save(model_of(ROWS), Path("own.ckpt"), model_class="mine.Own")
    assert predict_command("own.ckpt", "a.csv")[0] == 1
    _, expected, _ = predict_command("rows.ckpt", "a.csv")
    assert predict_command("own.ckpt", "a.csv", "--trusted-packages", "mine") == (0, expected, "")


def test_interrupted_prediction_leaves_no_file(
    predict_command: PredictCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.csv").write_text(TABLE)
    before = sorted(os.listdir())  # noqa: PTH208
    write = PredictionsCSV.write

    def stopped(self: PredictionsCSV, *batch: Any) -> None:
        write(self, *batch)
        if self.rows == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(PredictionsCSV, "write", stopped)
    code, screen, errors = predict_command("rows.ckpt", "a.csv", "--output", "out.csv", "--batch-size", "1")
    assert (code, screen, errors) == (130, "", "interrupted\n")
    assert sorted(os.listdir()) == before  # noqa: PTH208


def test_malformed_table_leaves_no_file(predict_command: PredictCommand) -> None:
    Path("a.csv").write_text(f"{TABLE}1,7,2,9\n")
    before = sorted(os.listdir())  # noqa: PTH208
    code, screen, errors = predict_command("rows.ckpt", "a.csv", "--output", "out.csv", "--batch-size", "1")
    assert (code, screen) == (1, "")
    assert errors.startswith("INPUT=a.csv: cannot be read (Error tokenizing data. C error: Expected 3 fields in line 5")
    assert sorted(os.listdir()) == before  # noqa: PTH208


@dataclass
class Mean:
    """A minimal predictor: the mean of two models."""

    spec: DataSpec = ROWS
    calls: list[tuple[int, bool]] = field(default_factory=list)
    task: Task = field(default_factory=lambda: build_task(ROWS.target))

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        assert batch_idx == 0
        self.calls.append((len(batch), torch.is_inference_mode_enabled()))
        model = model_of(self.spec)
        return (model.predict_step(batch, 0) + model.predict_step(batch + 1, 0)).double() / 2


def test_any_model_with_spec_and_predict_step_predicts() -> None:
    model = Mean()
    x = torch.tensor([[1.0, 2.0, 40.0], [float("nan"), 0.0, 70.0]])
    first, decisions, errors = predict_batch(model, InputBatch("abc", x, {1: "empty"}))
    second, _, errors_of_second = predict_batch(model, InputBatch("d", torch.empty(0, 3), {0: "gone"}))
    assert model.calls == [(2, True)], "the model is not called without inputs"
    assert first.dtype == np.float32
    assert np.abs(first[[0, 2]] - model.predict_step(x, 0).detach().numpy()).max() < 1e-6
    assert np.abs(first[[0, 2]].sum(axis=1) - 1).max() < 1e-6
    assert np.isnan(first[1]).all()
    assert decisions[[0, 2]].tolist() == first[[0, 2]].argmax(axis=1).tolist()
    assert (errors, errors_of_second) == ({1: "empty"}, {0: "gone"})
    assert np.isnan(second).all()
    assert not torch.is_inference_mode_enabled()


def test_nan_probabilities_are_errors() -> None:
    class NaNModel(Mean):
        def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return torch.tensor([[0.25, 0.75, 0.0], [0.0, float("nan"), 1.0]])

    probabilities, _, errors = predict_batch(NaNModel(), InputBatch("abc", torch.ones(2, 3), {0: "empty"}))
    assert errors == {0: "empty", 2: "the model's predictions are not finite"}
    assert probabilities[1].tolist() == [0.25, 0.75, 0.0]


def predict_table(predict_command: PredictCommand, target: Target) -> tuple[list[list[str]], SupervisedModel]:
    """The table of predictions of an untrained model with this target, and the model."""
    Path("a.csv").write_text(TABLE)
    model = model_of(replace(ROWS, target=target))
    if len(target.names) == 3:
        model.task.thresholds[:] = [0.0, 1.0, 0.5]
    save(model, Path("own.ckpt"))
    code, screen, errors = predict_command("own.ckpt", "a.csv")
    assert (code, errors) == (0, "")
    return rows(screen), model


X = torch.tensor([[1.5, 2, 40], [2.5, 1, 60], [float("nan"), 0, 70]])  # of `TABLE`


@pytest.mark.parametrize("transform", ["none", "log"])
def test_numbers_are_predicted_in_the_units_of_the_data(predict_command: PredictCommand, transform: str) -> None:
    target = Numbers(("price", "input"), (3.0, -2.0), (2.0, 0.5), transform)
    table, model = predict_table(predict_command, target)
    assert table[0] == ["input", "price", "target input"]
    standard = model(X).detach().numpy()
    expected = standard * [2.0, 0.5] + [3.0, -2.0]
    found = np.array([row[1:] for row in table[1:]], dtype=float)
    assert found == pytest.approx(np.exp(expected) if transform == "log" else expected, rel=1e-5)
    assert found.std(axis=0).min() > 0.001, "the rows differ"


def test_labels_are_decided_by_the_stored_thresholds(predict_command: PredictCommand) -> None:
    table, model = predict_table(predict_command, Labels(("a", "b", "c")))
    assert table[0] == ["input", "labels", "a", "b", "c"]
    expected = model(X).detach().sigmoid().numpy()
    assert probabilities(table) == pytest.approx(expected, abs=1e-6)
    assert [row[1] for row in table[1:]] == ["a;c" if row[2] >= 0.5 else "a" for row in expected]


@pytest.mark.parametrize(
    "target", [Classes(("no", "yes")), Numbers(("a", "b"), (0.0, 9.0), (1.0, 2.0)), Labels(("a", "b"))]
)
def test_python_function_returns_the_table_of_the_command(predict_command: PredictCommand, target: Target) -> None:
    _, model = predict_table(predict_command, target)
    Path("b.csv").write_text("mass,length,town\n1,x,7\n2,3,7\n")
    _, screen, _ = predict_command("own.ckpt", "a.csv", "b.csv")
    written = pd.read_csv(io.StringIO(screen)).drop(index=3)
    found = predict(Path("own.ckpt"), ["a.csv", Path("b.csv")], batch_size=2)
    assert found["error"].dropna().to_dict() == {3: "length is not a number: x"}
    assert found.iloc[3, 1:-1].isna().all()
    right = found.drop(index=3, columns="error")
    assert right.columns.tolist() == written.columns.tolist()
    numbers = [*target.names]
    assert right[numbers].to_numpy() == pytest.approx(written[numbers].to_numpy(dtype=float), rel=1e-6)
    rest = right.columns.difference(numbers)
    assert right[rest].equals(written[rest].fillna(""))
    alone = predict("own.ckpt", "a.csv")
    assert alone[numbers].to_numpy() == pytest.approx(model.predict_step(X, 0).detach().numpy(), rel=1e-6)
    assert alone["input"].tolist() == ["1", "2", "3"]


REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("redirected", [True, False])
def test_progress_is_shown_unless_the_rows_are(
    predict_command: PredictCommand, monkeypatch: pytest.MonkeyPatch, redirected: bool
) -> None:
    Path("a.csv").write_text(TABLE)
    monkeypatch.setattr(display, "REDRAW_EVERY", 0.0)
    rows = io.StringIO()
    with on_screen() as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", sys.stdout)
        if redirected:
            patch.setattr(sys, "stdout", rows)
        assert predict_files("rows.ckpt", ["a.csv"], batch_size=1) == 0
    counts = {text.split("  ")[-1].strip() for text in screen.drawn if text.startswith("predicting")}
    assert counts == ({f"{number} of 3 inputs" for number in (1, 2, 3)} if redirected else set())
    assert len((rows.getvalue() if redirected else screen.text).splitlines()) == 4
    assert ("input,prediction" in screen.text) != redirected


def test_command_line_is_parsed_without_torch() -> None:
    code = (
        "import sys, trainyard.cli.commands, trainyard.inference.predict; print({'torch', 'pandas'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("set()\n", "")
