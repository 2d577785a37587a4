"""Batches of rows and images to predict: encoding of cells, and positions of unreadable inputs."""

import io
import os
import re
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.data.images.image_writers import save_png_header
from tests.inference.untrained import COLUMNS, TABLE
from trainyard.data.images.image_files import read_image
from trainyard.inference import prediction_batches as module
from trainyard.inference.prediction_batches import (
    THREADS,
    InputTable,
    encode_rows,
    image_batches,
    load_table,
    table_batches,
)
from trainyard.io.errors import ConfigError

NAN = float("nan")


def table(folder: Path, text: str, name: str = "t.csv") -> InputTable:
    (folder / name).write_text(text)
    return replace(load_table(str(folder / name), COLUMNS), name=name)


def rows_of(folder: Path, text: str, name: str = "t.csv", rows: int = 100) -> tuple[list[list[float]], dict[int, str]]:
    """Return the rows that can be predicted, a missing number as -1, and the errors by their row from 0."""
    x: list[list[float]] = []
    errors: dict[int, str] = {}
    done = 0
    for batch in table_batches([table(folder, text, name)], COLUMNS, rows):
        x += batch.x.nan_to_num(-1).tolist()
        errors |= {done + position: problem for position, problem in batch.errors.items()}
        done += len(batch.names)
    return x, errors


def test_levels_are_encoded_as_codes(tmp_path: Path) -> None:
    assert rows_of(tmp_path, TABLE) == ([[1.5, 2, 40], [2.5, 1, 60], [-1, 0, 70]], {})


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    text = "id,mass,kind, town ,length,note\n1,40,cat,Rome,1.5,a\n2,60,,7,2.5,\n"
    assert rows_of(tmp_path, text) == ([[1.5, 2, 40], [2.5, 3, 60]], {})


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_invalid_cell_is_an_error_of_its_row_only(tmp_path: Path, rows: int) -> None:
    text = 'length,town,mass\n1,7,2\nabc,7,3\n4,,NA\n"1,2,5",Rome,x\n 6 ,7,1e2\n7,Bern,\n'
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[1, 3, 2], [4, 0, -1], [6, 3, 100], [7, 1, -1]]
    assert errors == {1: "length is not a number: abc", 3: "length is not a number: 1,2,5; mass is not a number: x"}


def test_long_cell_is_shortened_in_the_error(tmp_path: Path) -> None:
    _, errors = rows_of(tmp_path, f"length,town,mass\n{'a' * 500},7,2\n")
    assert errors == {0: f"length is not a number: {'a' * 37}..."}


@pytest.mark.parametrize("rows", [1, 100])
def test_booleans_are_numbers_and_dates_are_not(tmp_path: Path, rows: int) -> None:
    text = "length,town,mass\n10,7,true\n1.5,7,False\n1970-01-11,7,maybe\n"
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[10, 3, 1], [1.5, 3, 0]]
    assert errors == {2: "length is not a number: 1970-01-11; mass is not a number: maybe"}


@pytest.mark.parametrize("rows", [1, 100])
def test_semicolons_allow_decimal_commas(tmp_path: Path, rows: int) -> None:
    text = "length;town;mass\n1,5;7;2\n-0,25;Bern;3,5\n1,2,3;7;4\n;7;5.5\n"
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[1.5, 3, 2], [-0.25, 1, 3.5], [-1, 3, 5.5]]
    assert errors == {2: "length is not a number: 1,2,3"}


def test_values_beyond_float32_are_missing_as_in_training(tmp_path: Path) -> None:
    x, errors = rows_of(tmp_path, "length,town,mass\ninf,7,1e39\n1,7,bad\n-inf,7,1e39\n")
    assert x == [[-1, 3, -1], [-1, 3, -1]]
    assert errors == {1: "mass is not a number: bad"}


def test_missing_cell_is_not_an_error(tmp_path: Path) -> None:
    x, errors = rows_of(tmp_path, "length,town,mass\n,7,\nbad,7,1\nNA,7,null\n")
    assert (x, list(errors)) == ([[-1, 3, -1], [-1, 3, -1]], [1])


def test_parquet_and_csv_are_encoded_equally(tmp_path: Path) -> None:
    frame = pd.DataFrame({"mass": [40, 60, 70], "town": ["Rome", None, "7"], "length": [1.5, NAN, 2.0], "more": 1})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.astype({"town": "category"}).set_index("more").to_parquet(tmp_path / "a.parquet")
    found = []
    for name in ("a.csv", "a.parquet"):
        [batch] = table_batches([load_table(str(tmp_path / name), COLUMNS)], COLUMNS, 9)
        found.append(batch.x.nan_to_num(-1).tolist())
    assert found[0] == found[1] == [[1.5, 2, 40], [-1, 0, 60], [2, 3, 70]]


def test_text_in_a_parquet_file_is_parsed() -> None:
    x, errors = encode_rows(pd.DataFrame({"length": ["1.5", "x", None], "town": [7, 7, 8], "mass": [1, 2, 3]}), COLUMNS)
    assert np.nan_to_num(x, nan=-1).tolist() == [[1.5, 3, 1], [-1, 3, 2], [-1, 0, 3]]
    assert errors == {1: "length is not a number: x"}


def test_rows_are_named_by_number_and_table(tmp_path: Path) -> None:
    tables = [table(tmp_path, TABLE, "a.csv"), table(tmp_path, TABLE.replace(",", "\t"), "b.tsv")]
    names = [name for batch in table_batches(tables[:1], COLUMNS, 2) for name in batch.names]
    assert names == ["1", "2", "3"]
    names = [name for batch in table_batches(tables, COLUMNS, 2) for name in batch.names]
    assert names == ["a.csv:1", "a.csv:2", "a.csv:3", "b.tsv:1", "b.tsv:2", "b.tsv:3"]


HEADER = "length,town,mass"


def error_message(folder: Path, content: str | bytes, name: str = "t.csv") -> str:
    """Return the error message for a file."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_table(str(folder / name), COLUMNS)
    message = str(caught.value)
    assert message.startswith(f"INPUT={folder / name}: ")
    assert message.count("\n") == 1
    return message


def test_parquet_columns_of_lists_are_rejected(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pd.DataFrame({"length": [[1.0], [2.0]], "mass": [1.0, 2.0], "town": ["x", "y"]}).to_parquet(stream)
    message = error_message(tmp_path, stream.getvalue(), "t.parquet")
    assert "column length of nested values (list<element: double>)" in message


def test_all_missing_columns_are_listed_with_suggestions(tmp_path: Path) -> None:
    message = error_message(tmp_path, "lenght,city,Mass \n1,2,3\n")
    assert "no column length; did you mean lenght?; no column town; no column mass; did you mean Mass?" in message
    assert "the model's columns: length, town, mass" in message
    file = tmp_path / "a.parquet"
    pd.DataFrame({"length": [1.0], "towns": ["x"]}).to_parquet(file)
    with pytest.raises(ConfigError, match=r"no column town; did you mean towns\?; no column mass\n"):
        load_table(str(file), COLUMNS)


def test_duplicate_column_is_rejected(tmp_path: Path) -> None:
    assert "several columns mass" in error_message(tmp_path, "length,town,mass,mass \n1,2,3,4\n")


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1,2,3,4\n",
        f"{HEADER}\n1,2,3,4\n1,2,3,4\n",
        f"{HEADER}\n1,2,3\n1,2,3,4\n",
        f"{HEADER}\n1,2,3\n1,2,3\n1,2,3\n1,2,3\n1,2,3,4\n1,2,3\n",
    ],
)
def test_rows_longer_than_the_header_are_rejected(tmp_path: Path, text: str) -> None:
    message = error_message(tmp_path, text)
    assert re.search(r"more values than its header has names|Expected 3 fields in line \d, saw 4", message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"\n\n", "cannot be read (No columns to parse from file)"),
        ("t.csv", f"{HEADER}\n".encode(), "it has no rows"),
        ("t.csv", f"{HEADER}\n\n\n".encode(), "it has no rows"),
        ("t.csv", f"{HEADER}\n1,\xe4,3\n".encode("latin-1"), "cannot be read ('utf-8' codec can't decode"),
        ("t.csv", f"{HEADER}\n1,2,3\n".encode("utf-16"), "cannot be read"),
        ("t.parquet", b"no parquet", "cannot be read"),
    ],
)
def test_files_without_a_table_are_rejected(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    assert message in error_message(tmp_path, content, name)


def test_parquet_file_without_rows_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pd.DataFrame({"length": [], "town": [], "mass": []}).to_parquet(file)
    with pytest.raises(ConfigError, match="it has no rows"):
        load_table(str(file), COLUMNS)


@pytest.mark.parametrize(
    "text", [TABLE, f"\ufeff{TABLE}", TABLE.replace("\n", "\r\n"), TABLE.replace(",", "|"), TABLE[:-1]]
)
def test_other_csv_dialects_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(text.encode())
    assert load_table(str(tmp_path / "t.txt"), COLUMNS).frame["mass"].tolist() == ["40", "60", "70"]


def test_trailing_delimiter_shifts_no_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{HEADER}\n1,Bern,2,\n3,Rome,4,\n5,7,6,\n")
    frame = load_table(str(tmp_path / "t.csv"), COLUMNS).frame
    assert frame.to_numpy().tolist() == [["1", "Bern", "2"], ["3", "Rome", "4"], ["5", "7", "6"]]


SHAPE = (3, 6, 8)


def save_images(folder: Path, count: int) -> list[str]:
    draws = np.random.default_rng(0)
    names = [str(folder / f"{number}.png") for number in range(count)]
    for name in names:
        Image.fromarray(draws.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(name)
    return names


@pytest.mark.parametrize("size", [1, 4, 10, 99])
def test_images_are_read_once_and_in_order(tmp_path: Path, size: int) -> None:
    names = save_images(tmp_path, 10)
    batches = list(image_batches(names, SHAPE, size))
    assert [name for batch in batches for name in batch.names] == names
    assert {len(batch.names) for batch in batches[:-1]} <= {size}
    expected = np.stack([read_image(Path(name), SHAPE) for name in names])
    assert np.concatenate([batch.x.numpy() for batch in batches]).tolist() == expected.tolist()
    assert not any(batch.errors for batch in batches)


def test_unreadable_images_are_reported(tmp_path: Path) -> None:
    names = save_images(tmp_path, 4)
    Path(names[0]).write_bytes(b"")
    Path(names[2]).unlink()
    os.mkfifo(names[2])
    bomb = str(save_png_header(tmp_path / "bomb.png", 50_000, 50_000))
    batches = list(image_batches([*names, bomb], SHAPE, 4))
    assert batches[0].errors == {0: "empty", 2: "not a regular file"}
    assert len(batches[0].x) == 2
    assert batches[1].errors == {0: "more than the limit of 89,478,485 pixels"}
    assert batches[1].x.shape == (0, *SHAPE)


def test_one_batch_at_a_time_is_read_by_a_few_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = save_images(tmp_path, 60)
    read: list[str] = []
    threads: set[str] = set()

    def spied(path: Path, *rest: Any) -> np.ndarray:
        read.append(path.name)
        threads.add(threading.current_thread().name)
        return read_image(path, *rest)

    monkeypatch.setattr(module, "read_image", spied)
    batches = image_batches(names, SHAPE, 5)
    for number in range(1, 4):
        next(batches)
        assert len(read) == number * 5
    batches.close()
    assert 2 <= THREADS <= 4
    assert len(threads) <= THREADS


def test_warning_filters_are_restored(tmp_path: Path) -> None:
    names = save_images(tmp_path, 200)
    before = list(warnings.filters)
    for _ in image_batches(names, SHAPE, 50):
        pass
    assert warnings.filters == before
    stopped = image_batches(names, SHAPE, 50)
    next(stopped)
    stopped.close()
    assert warnings.filters == before
