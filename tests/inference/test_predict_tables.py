"""Tables that cannot be predicted are refused before anything is, in one clear error."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.inference.untrained import COLUMNS, TABLE
from trainyard.errors import ConfigError
from trainyard.inference.prediction_batches import load_table

HEADER = "length,town,mass"


def refused(folder: Path, content: str | bytes, name: str = "t.csv") -> str:
    """Return the error message for a file."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_table(str(folder / name), COLUMNS)
    message = str(caught.value)
    assert message.startswith(f"INPUT={folder / name}: ")
    assert message.count("\n") == 1
    return message


def test_missing_columns_are_all_named_with_what_was_meant(tmp_path: Path) -> None:
    said = refused(tmp_path, "lenght,city,Mass \n1,2,3\n")
    assert "no column length; did you mean lenght?; no column town; no column mass; did you mean Mass?" in said
    assert "the model's columns: length, town, mass" in said
    file = tmp_path / "a.parquet"
    pd.DataFrame({"length": [1.0], "towns": ["x"]}).to_parquet(file)
    with pytest.raises(ConfigError, match=r"no column town; did you mean towns\?; no column mass\n"):
        load_table(str(file), COLUMNS)


def test_a_column_that_is_there_twice_is_not_guessed(tmp_path: Path) -> None:
    assert "several columns mass" in refused(tmp_path, "length,town,mass,mass \n1,2,3,4\n")


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n1,2,3,4\n",
        f"{HEADER}\n1,2,3,4\n1,2,3,4\n",
        f"{HEADER}\n1,2,3\n1,2,3,4\n",
        f"{HEADER}\n1,2,3\n1,2,3\n1,2,3\n1,2,3\n1,2,3,4\n1,2,3\n",
    ],
)
def test_rows_with_more_values_than_names(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, text)
    assert re.search(r"more values than its header has names|Expected 3 fields in line \d, saw 4", said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
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
def test_files_that_hold_no_table(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, content, name)


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pd.DataFrame({"length": [], "town": [], "mass": []}).to_parquet(file)
    with pytest.raises(ConfigError, match="it has no rows"):
        load_table(str(file), COLUMNS)


@pytest.mark.parametrize(
    "text", [TABLE, f"\ufeff{TABLE}", TABLE.replace("\n", "\r\n"), TABLE.replace(",", "|"), TABLE[:-1]]
)
def test_other_ways_to_write_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(text.encode())
    assert load_table(str(tmp_path / "t.txt"), COLUMNS).frame["mass"].tolist() == ["40", "60", "70"]


def test_a_row_that_ends_with_a_delimiter_shifts_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{HEADER}\n1,Bern,2,\n3,Rome,4,\n5,7,6,\n")
    frame = load_table(str(tmp_path / "t.csv"), COLUMNS).frame
    assert frame.to_numpy().tolist() == [["1", "Bern", "2"], ["3", "Rome", "4"], ["5", "7", "6"]]
