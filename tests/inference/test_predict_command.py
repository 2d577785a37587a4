"""The command as it is typed: what it writes, its exit codes, and what it says of bad input."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inference.conftest import Typed
from tests.inference.untrained import IMAGES, ROWS, TABLE, model_of, save

DRAWS = np.random.default_rng(0)


def picture(name: str) -> np.ndarray:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = DRAWS.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name)
    return pixels.transpose(2, 0, 1)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def shares(table: list[list[str]]) -> np.ndarray:
    return np.array([row[2:] for row in table[1:]], dtype=np.float32)


def test_images_of_a_folder_a_pattern_and_a_name(typed: Typed) -> None:
    names = ["photos/2.png", "photos/10.png", "more/a.png", "one.png"]
    pixels = np.stack([picture(name) for name in names])
    code, screen, errors = typed("images.ckpt", "photos", "more/*.png", "one.png", "--batch-size", "3")
    assert (code, errors) == (0, "")
    table = rows(screen)
    assert table[0] == ["input", "prediction", "cat", "dog", "cow"]
    assert [row[0] for row in table[1:]] == names
    expected = model_of(IMAGES).predict_step(torch.from_numpy(pixels), 0).detach().numpy()
    assert np.abs(shares(table) - expected).max() < 1e-6
    assert np.abs(shares(table).sum(axis=1) - 1).max() < 1e-6
    assert [row[1] for row in table[1:]] == [IMAGES.classes[best] for best in expected.argmax(axis=1)]


def test_options_may_stand_anywhere(typed: Typed) -> None:
    Path("a.csv").write_text(TABLE)
    code, screen, errors = typed("--output", "out.csv", "rows.ckpt", "--batch-size=2", "a.csv")
    assert (code, screen, errors) == (0, "", "")
    x = torch.tensor([[1.5, 2, 40], [2.5, 1, 60], [float("nan"), 0, 70]])
    expected = model_of(ROWS).predict_step(x, 0).detach().numpy()
    table = rows(Path("out.csv").read_text())
    assert [row[0] for row in table] == ["input", "1", "2", "3"]
    assert np.abs(shares(table) - expected).max() < 1e-6


def test_a_table_from_standard_input(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.csv").write_text(TABLE)
    _, expected, _ = typed("rows.ckpt", "a.csv")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.replace(",", ";").encode())))
    assert typed("rows.ckpt", "-") == (0, expected, "")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    _, screen, _ = typed("rows.ckpt", "a.csv", "-")
    assert [row[0] for row in rows(screen)][1:] == ["a.csv:1", "a.csv:2", "a.csv:3", "stdin:1", "stdin:2", "stdin:3"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    code, screen, errors = typed("rows.ckpt", "-")
    assert (code, screen) == (1, "")
    assert errors.startswith("INPUT=stdin: the file is empty\n")


def test_what_cannot_be_predicted_is_a_row_and_counts(typed: Typed) -> None:
    picture("a/1.png")
    Path("a/2.png").write_text("no image")
    picture("a/3.png")
    code, screen, errors = typed("images.ckpt", "a")
    assert (code, errors) == (1, "1 of 3 inputs could not be predicted\n")
    table = rows(screen)
    assert table[2] == ["a/2.png", "error: not an image that Pillow can read", "", "", ""]
    assert all(row[1] in IMAGES.classes for row in (table[1], table[3]))
    Path("t.csv").write_text("mass,length,town\n1,x,7\n2,3,7\n")
    code, screen, errors = typed("rows.ckpt", "t.csv", "--output", "out.csv")
    assert (code, screen, errors) == (1, "", "1 of 2 inputs could not be predicted\n")
    assert rows(Path("out.csv").read_text())[1] == ["1", "error: length is not a number: x", "", "", ""]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rows.ckp", "a.csv"], 1, "RUN=rows.ckp: there is no such run"),
        (["rows.ckpt", "a.cvs"], 1, "INPUT: a.cvs: no such file; did you mean a.csv"),
        (["rows.ckpt", "a.csv", "b.png"], 1, "INPUT: b.png is an image, and rows.ckpt (MLP) takes rows"),
        (["images.ckpt", "a.csv"], 1, "INPUT: a.csv is a table, and images.ckpt (MLP) takes images"),
        (["rows.ckpt", "bad.csv"], 1, "INPUT=bad.csv: no column length; no column town"),
        (["rows.ckpt", "a.csv", "--output", "a.csv"], 1, "--output=a.csv: it is one of the inputs"),
        (["rows.ckpt", "a.csv", "--output", "rows.ckpt"], 1, "--output=rows.ckpt: it is one of the inputs"),
        (["rows.ckpt", "a.csv", "--output", "no/o.csv"], 1, "--output=no/o.csv: no such folder"),
        (["other.ckpt", "a.csv"], 1, "other.ckpt: model_class=mine.MLP: a stored config must not build it here"),
        (["b.ckpt", "a.csv"], 1, "checkpoint=b.ckpt: it contains more than weights"),
        (["rows.ckpt"], 2, "the following arguments are required: INPUT"),
        (["rows.ckpt", "a.csv", "--batch-size", "0"], 2, "0 is not a whole number from 1"),
        (["rows.ckpt", "a.csv", "--batch", "3"], 2, "unknown option --batch; did you mean --batch-size?"),
    ],
)
def test_says_what_is_wrong_and_writes_nothing(typed: Typed, words: list[str], code: int, said: str) -> None:
    Path("a.csv").write_text(TABLE)
    Path("bad.csv").write_text("mass\n1\n")
    Path("b.ckpt").write_text("no checkpoint")
    picture("b.png")
    save(model_of(ROWS), Path("other.ckpt"), model_class="mine.MLP")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    found, screen, errors = typed(*words)
    assert (found, screen) == (code, "")
    assert said in errors
    assert "Traceback" not in errors
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_package_of_ones_own_may_be_trusted(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text("from trainyard.models.mlp import MLP\nclass Own(MLP):\n    pass\n")
    monkeypatch.syspath_prepend(".")
    Path("a.csv").write_text(TABLE)
    save(model_of(ROWS), Path("own.ckpt"), model_class="mine.Own")
    assert typed("own.ckpt", "a.csv")[0] == 1
    _, expected, _ = typed("rows.ckpt", "a.csv")
    assert typed("own.ckpt", "a.csv", "--trusted-packages", "mine") == (0, expected, "")
