"""The CSV of predictions says exactly what was predicted, and no spreadsheet runs any of it."""

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from trainyard.csv_text import escape_formula
from trainyard.inference.predict import PredictedBatch, PredictionsCSV, header


def written(classes: Sequence[str], *batches: PredictedBatch) -> list[list[str]]:
    stream = io.StringIO()
    rows = PredictionsCSV(stream, classes)
    for batch in batches:
        rows.write(batch)
    assert rows.rows == sum(len(batch.names) for batch in batches)
    assert rows.failed == sum(len(batch.errors) for batch in batches)
    return list(csv.reader(io.StringIO(stream.getvalue(), newline="")))


def batch_of(names: Sequence[str], shares: Sequence[Sequence[float]], errors: Mapping[int, str] = {}) -> PredictedBatch:
    return PredictedBatch(names, np.array(shares, dtype=np.float32), errors)


def test_every_digit_of_a_probability_is_there() -> None:
    draws = np.random.default_rng(0).exponential(size=(500, 4)).astype(np.float32) ** 8
    shares = draws / draws.sum(axis=1, keepdims=True)
    table = written(["a", "b", "c", "d"], batch_of([str(n) for n in range(500)], shares.tolist()))
    found = np.array([row[2:] for row in table[1:]], dtype=np.float32)
    assert found.tobytes() == shares.tobytes()
    assert [row[1] for row in table[1:]] == ["abcd"[best] for best in shares.argmax(axis=1)]


def test_errors_keep_their_place() -> None:
    nan = [float("nan")] * 2
    table = written(["a", "b"], batch_of("xyz", [nan, [0.25, 0.75], nan], {0: "empty", 2: "=1+1, and so on"}))
    assert table == [
        ["input", "prediction", "a", "b"],
        ["x", "error: empty", "", ""],
        ["y", "b", "0.25", "0.75"],
        ["z", "error: =1+1, and so on", "", ""],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(1)", "\tx", "\rx", "=", "-1x", "+1+1", "-", "- 1"])
def test_what_might_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    table = written([text, "other"], batch_of([text], [[1.0, 0.0]]))
    assert table == [["input", "prediction", f"'{text}", "other"], [f"'{text}", f"'{text}", "1.0", "0.0"]]


@pytest.mark.parametrize("text", ["-1", "+2.5", "-.5", "-1e-3", "7", "a=b", "a-b.png", "", "./-x"])
def test_numbers_and_others_stay(text: str) -> None:
    assert escape_formula(text) == text


@pytest.mark.parametrize("text", ["a,b", "a\nb", "a\r\nb", "a\rb", 'say "x"', " a ", "ä", ";"])
def test_any_name_can_be_read_again(text: str) -> None:
    assert written([text, "b"], batch_of([text], [[1.0, 0.0]]))[1][:2] == [text, text]
    assert written([text, "b"])[0] == ["input", "prediction", text, "b"]


def test_no_two_columns_have_one_name() -> None:
    assert header(["input", "prediction", "x"]) == ["input", "prediction", "class input", "class prediction", "x"]
    assert len(set(header(["input", "class input", "=x", "'=x"]))) == 6
    table = written(["input", "b"], batch_of(["1"], [[0.75, 0.25]]))
    assert table == [["input", "prediction", "class input", "b"], ["1", "input", "0.75", "0.25"]]


def test_rows_end_with_a_line_feed_alone() -> None:
    stream = io.StringIO()
    PredictionsCSV(stream, ["a\rb"]).write(batch_of(["1"], [[1.0]]))
    assert stream.getvalue() == 'input,prediction,"a\rb"\n1,"a\rb",1.0\n'
