"""Tables in files: the same numbers whatever the format, and one clear error where there is no table."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from trainyard.data.sources.table import Table
from trainyard.data.tables.table_file import read_table
from trainyard.io.errors import ConfigError

NAN = float("nan")
FRAME = pd.DataFrame(
    {
        "height": [1.5, None, -2.25, 1e6],
        "count": [3, 10, 2, 3],
        "member": [True, False, True, False],
        "paid": [True, None, False, True],
        "joined": pd.to_datetime(["2026-11-30", "1970-01-02", None, "2000-01-01 12:00"], format="ISO8601"),
        "town": ["Ulm, Donau", "Aa", None, "Aa"],
        "size": ["10", "9", "x", "10"],
        "kind": ["b", "a", "a", "b"],
    }
)
# What each format must give: height, count, member, paid; year, month, day, weekday, hour, days since 1970 of joined;
# the levels ("Aa", "Ulm, Donau") and ("9", "10", "x") as codes from 1.
EXPECTED = [
    [1.5, 3, 1, 1, 2026, 11, 30, 0, 0, 20787, 2, 2],
    [NAN, 10, 0, NAN, 1970, 1, 2, 4, 0, 1, 1, 1],
    [-2.25, 2, 1, 0, NAN, NAN, NAN, NAN, NAN, NAN, 0, 3],
    [1e6, 3, 0, 1, 2000, 1, 1, 5, 12, 10957, 1, 2],
]


def write(folder: Path, style: str) -> Path:
    path = folder / f"table{style[style.index('.') :]}"
    if path.suffix in (".parquet", ".pq"):
        FRAME.to_parquet(path)
        return path
    options = {"comma": {}, "semicolon": {"sep": ";"}, "german": {"sep": ";", "decimal": ","}, "pipe": {"sep": "|"}}
    options |= {"tab": {"sep": "\t"}, "bom": {"encoding": "utf-8-sig"}}
    FRAME.to_csv(path, index=False, **options[style.partition(".")[0]])
    return path


STYLES = ["comma.csv", "semicolon.csv", "german.csv", "pipe.csv", "bom.csv", "comma.CSV", "tab.csv", "tab.tsv"]


@pytest.mark.parametrize("style", [*STYLES, "semicolon.txt", ".parquet", ".pq"])
def test_every_format_gives_the_same_numbers(tmp_path: Path, style: str) -> None:
    source = Table(str(write(tmp_path, style)), "kind", keep=["town", "size"], batch_size=1)
    train = source.read()["train"]
    assert torch.equal(train.x.nan_to_num(-9), torch.tensor(EXPECTED).nan_to_num(-9))
    assert train.x.dtype == torch.float32
    assert train.y.tolist() == [1, 0, 0, 1]
    assert source.classes == ("a", "b")
    assert [column.levels for column in source.columns[:10]] == [()] * 10
    assert [column.levels for column in source.columns[10:]] == [("Aa", "Ulm, Donau"), ("9", "10", "x")]


def test_spaces_after_commas_are_no_part_of_names_or_values(tmp_path: Path) -> None:
    path = tmp_path / "hand.csv"
    path.write_text('a, "b, c", kind\n1, x, one\n2, "y, z", two\n')
    table = read_table(path, "data.path")
    assert list(table.columns) == ["a", "b, c", "kind"]
    assert table["b, c"].tolist() == ["x", "y, z"]
    assert table["kind"].tolist() == ["one", "two"]


def test_trailing_commas_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "trailing.csv"
    path.write_text("a,kind\n1,x,\n2,y,\n")
    assert read_table(path, "data.path").to_dict("list") == {"a": ["1", "2"], "kind": ["x", "y"]}


def test_cells_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text('a,b,c\n007,"1,234",NA\n5.0,5,None\n')
    assert read_table(path, "data.path").to_dict("list") == {
        "a": ["007", "5.0"],
        "b": ["1,234", "5"],
        "c": ["NA", "None"],
    }


GARBAGE = bytes(range(128, 256)) * 20
WRONG = {
    "folder.csv": (None, "not a regular file"),
    "empty.csv": (b"", "the file is empty"),
    "empty.parquet": (b"", "the file is empty"),
    "header.csv": (b"a,b,kind\n", "it has no rows"),
    "garbage.csv": (GARBAGE, "cannot be read"),
    "nul.csv": (b"\0" * 500, "null bytes"),
    "garbage.parquet": (GARBAGE, "cannot be read"),
    "text.parquet": (b"a,b\n1,2\n", "cannot be read"),
    "latin.csv": ("größe,kind\n1,a\n".encode("latin-1"), "utf-8"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3,4\n", "Expected 2 fields in line 3, saw 4"),
    "wide.csv": (b"a,b\n0,2,9\n1,4,8\n", "more values than its header has names"),
    "table.xlsx": (b"a,b\n1,2\n", "unknown suffix .xlsx"),
    "table": (b"a,b\n1,2\n", "unknown suffix (none)"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("key", ["data.path", "data.test_path"])
def test_invalid_tables_are_rejected(tmp_path: Path, name: str, key: str) -> None:
    content, problem = WRONG[name]
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{key}=.*there is no file .*gone"):
        read_table(tmp_path / "gone.csv", key)
    with pytest.raises(ConfigError) as error:
        read_table(path, key)
    text = str(error.value)
    assert text.startswith(f"{key}={path}: ")
    assert problem in text
    assert text.count(f"{key}=") == 1, "one error, not one inside another"
    assert text.splitlines()[1:] == ["  accepted: a .csv, .tsv or .parquet file with a header and rows, text in UTF-8"]
