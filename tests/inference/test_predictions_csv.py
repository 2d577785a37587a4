"""The CSV of predictions is exact, safe for spreadsheets, and replaced atomically."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.inference.predict import check_output, open_output
from trainyard.inference.predictions_csv import PredictionsCSV, column_names
from trainyard.io.csv_text import escape_formula
from trainyard.io.errors import ConfigError

Batch = tuple[Sequence[str], np.ndarray, np.ndarray, Mapping[int, str]]  # the arguments of `PredictionsCSV.write`


def write_csv(target: Target | Sequence[str], *batches: Batch) -> list[list[str]]:
    stream = io.StringIO()
    rows = PredictionsCSV(stream, Classes(tuple(target)) if isinstance(target, Sequence) else target)
    for batch in batches:
        rows.write(*batch)
    assert rows.rows == sum(len(names) for names, *_ in batches)
    assert rows.failed == sum(len(errors) for *_, errors in batches)
    return list(csv.reader(io.StringIO(stream.getvalue(), newline="")))


def batch_of(names: Sequence[str], probabilities: Sequence[Sequence[float]], errors: Mapping[int, str] = {}) -> Batch:
    predictions = np.array(probabilities, dtype=np.float32)
    return names, predictions, predictions.argmax(axis=1), errors


def test_probabilities_are_exact() -> None:
    draws = np.random.default_rng(0).exponential(size=(500, 4)).astype(np.float32) ** 8
    probabilities = draws / draws.sum(axis=1, keepdims=True)
    table = write_csv(["a", "b", "c", "d"], batch_of([str(n) for n in range(500)], probabilities.tolist()))
    found = np.array([row[2:] for row in table[1:]], dtype=np.float32)
    assert found.tobytes() == probabilities.tobytes()
    assert [row[1] for row in table[1:]] == ["abcd"[best] for best in probabilities.argmax(axis=1)]


def test_errors_are_rows_in_the_input_order() -> None:
    nan = [float("nan")] * 2
    table = write_csv(["a", "b"], batch_of("xyz", [nan, [0.25, 0.75], nan], {0: "empty", 2: "=1+1, and so on"}))
    assert table == [
        ["input", "prediction", "a", "b"],
        ["x", "error: empty", "", ""],
        ["y", "b", "0.25", "0.75"],
        ["z", "error: =1+1, and so on", "", ""],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(1)", "\tx", "\rx", "=", "-1x", "+1+1", "-", "- 1"])
def test_formulas_are_escaped(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    table = write_csv([text, "other"], batch_of([text], [[1.0, 0.0]]))
    assert table == [["input", "prediction", f"'{text}", "other"], [f"'{text}", f"'{text}", "1.0", "0.0"]]


@pytest.mark.parametrize("text", ["-1", "+2.5", "-.5", "-1e-3", "7", "a=b", "a-b.png", "", "./-x"])
def test_numbers_and_other_text_are_not_escaped(text: str) -> None:
    assert escape_formula(text) == text


@pytest.mark.parametrize("text", ["a,b", "a\nb", "a\r\nb", "a\rb", 'say "x"', " a ", "ä", ";"])
def test_any_name_is_read_back_unchanged(text: str) -> None:
    assert write_csv([text, "b"], batch_of([text], [[1.0, 0.0]]))[1][:2] == [text, text]
    assert write_csv([text, "b"])[0] == ["input", "prediction", text, "b"]


def test_column_names_are_unique() -> None:
    def names(*classes: str) -> list[str]:
        return column_names(Classes(classes))

    assert names("input", "prediction", "x") == ["input", "prediction", "class input", "class prediction", "x"]
    assert len(set(names("input", "class input", "=x", "'=x"))) == 6
    table = write_csv(["input", "b"], batch_of(["1"], [[0.75, 0.25]]))
    assert table == [["input", "prediction", "class input", "b"], ["1", "input", "0.75", "0.25"]]
    assert column_names(Labels(("labels", "a"))) == ["input", "labels", "label labels", "a"]
    assert column_names(Numbers(("input", "a"), (0.0, 0.0), (1.0, 1.0))) == ["input", "target input", "a"]


def test_numbers_are_the_only_columns() -> None:
    target = Numbers(("price", "=x"), (3.0, 0.0), (2.0, 1.0))
    numbers = np.array([[1 / 3, -2e9], [np.nan, 1.0]], dtype=np.float32)
    assert write_csv(target, ("xy", numbers, numbers, {1: "empty"})) == [
        ["input", "price", "'=x"],
        ["x", "0.33333334", "-2e+09"],
        ["y", "error: empty", ""],
    ]


def test_labels_are_joined_in_a_column() -> None:
    probabilities = np.array([[0.5, 0.25, 0.75], [0.1, 0.2, 0.3], [0.9, 0.9, 0.9]], dtype=np.float32)
    decided = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=bool)
    assert write_csv(Labels(("=a", "b", "c")), ("xyz", probabilities, decided, {2: "empty"})) == [
        ["input", "labels", "'=a", "b", "c"],
        ["x", "'=a;c", "0.5", "0.25", "0.75"],
        ["y", "", "0.1", "0.2", "0.3"],
        ["z", "error: empty", "", "", ""],
    ]


def test_rows_end_with_a_line_feed() -> None:
    stream = io.StringIO()
    PredictionsCSV(stream, Classes(("a\rb",))).write(*batch_of(["1"], [[1.0]]))
    assert stream.getvalue() == 'input,prediction,"a\rb"\n1,"a\rb",1.0\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def raise_while_writing(path: Path, error: type[BaseException]) -> None:
    with open_output(path) as stream:
        stream.write("half")
        raise error


def test_file_is_replaced_when_complete(here: Path) -> None:
    (here / "out.csv").write_text("before")
    with open_output(here / "out.csv") as stream:
        stream.write("a\r\nä\udcff")
        assert (here / "out.csv").read_text() == "before"
        assert len(names(here)) == 2
    assert names(here) == ["out.csv"]
    assert (here / "out.csv").read_bytes() == "a\r\nä\\udcff".encode()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_earlier_file_survives_an_error(here: Path, error: type[BaseException]) -> None:
    (here / "out.csv").write_text("before")
    with pytest.raises(error):
        raise_while_writing(here / "out.csv", error)
    assert names(here) == ["out.csv"]
    assert (here / "out.csv").read_text() == "before"


def test_full_disk_is_reported(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"--output=.*out.csv: cannot be written \(No space left"):  # noqa: SIM117
        with open_output(here / "out.csv"):
            raise OSError(28, os.strerror(28))
    assert names(here) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nowhere/out.csv", "no such folder: .*/nowhere"),
        ("in.csv/out.csv", "no such folder: .*/in.csv"),
        ("folder", "a folder"),
        (os.devnull, "not a regular file"),
        ("in.csv", "it is one of the inputs"),
        ("folder/../in.csv", "it is one of the inputs"),
        ("link.csv", "it is one of the inputs"),
        ("hard.csv", "it is one of the inputs"),
    ],
)
def test_bad_output_paths_are_rejected(here: Path, output: str, message: str) -> None:
    (here / "folder").mkdir()
    (here / "in.csv").write_text("a")
    (here / "link.csv").symlink_to("in.csv")
    os.link("in.csv", "hard.csv")
    with pytest.raises(ConfigError, match=f"^--output={output}: {message}\n  accepted: a file in an existing folder"):
        check_output(Path(output), [Path("-"), Path("gone.png"), Path("in.csv")])


def test_output_link_is_followed(here: Path) -> None:
    (here / "link.csv").symlink_to("target.csv")
    with open_output(check_output(Path("link.csv"), [])) as stream:
        stream.write("x")
    assert (here / "link.csv").is_symlink()
    assert (here / "target.csv").read_text() == "x"


def test_default_output_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as stream:
        stream.write("ä\n")
    assert capsys.readouterr().out == "ä\n"
