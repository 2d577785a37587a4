"""Tables in files, and their cells as numbers and codes: every format and notation of a value gives one number."""

import decimal
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trainyard.data.loading.spec import Column
from trainyard.data.sources.table import Table
from trainyard.data.tables.reading import cell_texts, parse_numbers, read_rows, read_table
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


def test_text_cells_are_not_converted(tmp_path: Path) -> None:
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


NUMBERS = {
    "5": 5, "5.0": 5, "+5": 5, ".5": 0.5, "5.": 5, "1e-3": 0.001, "-4.10": -4.1, "007": 7, "true": 1, "FALSE": 0,
    "$4.10": 4.1, "-$4.10": -4.1, "$-4.10": -4.1, "4.10 €": 4.1, "USD 4.10": 4.1, "($4.10)": -4.1, "(3)": -3,
    "12 %": 12, "12%": 12, "94,050.00": 94050, "1,234,567": 1234567, "1 234.5": 1234.5,
    "12,34,567.5": 1234567.5,
    "1\u00a0234": 1234, "1'234'567": 1234567, "\N{MINUS SIGN}5": -5, "18446744073709551617": 2.0**64, "inf": math.inf,
}  # fmt: skip
COMMAS = {"4,10": 4.1, "1.234,5": 1234.5, "1.234": 1234, "1,234": 1.234, "1 234 567,5": 1234567.5, "€ 5,00": 5, "7": 7}
NO_NUMBERS = ["abc", "?", "-", "$", "%", "1-2", "1.2.3", "12:30", "(3", "3)", "--3", "-(3)", "1_000", "0x10", "12 34"]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_with_a_decimal_point_are_parsed(text: str) -> None:
    assert parse_numbers(pd.Series([text], dtype=object), ".").tolist() == [NUMBERS[text]]


@pytest.mark.parametrize("text", COMMAS)
def test_numbers_with_a_decimal_comma_are_parsed(text: str) -> None:
    assert parse_numbers(pd.Series([text], dtype=object), ",").tolist() == [COMMAS[text]]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "4,10", "1,23,45", "1.234,50", "0,123"])
def test_other_texts_become_nan(text: str) -> None:
    assert np.isnan(parse_numbers(pd.Series([text], dtype=object), ".")).all()


def test_the_other_separator_is_tried_for_invalid_numbers() -> None:
    texts = pd.Series(["4,10", "1,234", "4.10", "1.234"], dtype=object)
    assert parse_numbers(texts, ".", strict=False).tolist() == [4.1, 1234, 4.1, 1.234]
    assert parse_numbers(texts, ",", strict=False).tolist() == [4.1, 1.234, 4.1, 1234]


@pytest.mark.parametrize(
    "text", ["", "  ", "NA", "n/a", "N/A", "null", "NULL", "None", "nan", "NaN", "<NA>", "-999", "?"]
)
def test_markers_of_missing_values_become_none(text: str) -> None:
    assert cell_texts(pd.Series([text]), ["?", "-999"]).isna().all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], [1, 2, NAN]),
        ([float("inf"), 1e39, -5.0], [NAN, NAN, -5]),  # too large for float32
        (["inf", "1e39", "-5"], [NAN, NAN, -5]),
        (["1" * 400, "-5"], [NAN, -5]),
        (pd.Series([1, None], dtype="Int64"), [1, NAN]),
        ([decimal.Decimal("4.10"), None], [4.1, NAN]),
        ([True, None, False], [1, NAN, 0]),
        (pd.to_timedelta(["36h", "24h"]), [1.5, 1]),
        ([-999, 3], [NAN, 3]),
        ([-999.0, 3], [NAN, 3]),
        (["-999.0", "3"], [NAN, 3]),
        ([None, None], [NAN, NAN]),
        (["2007", " 2008 "], [2007, 2008]),
    ],
)
def test_numbers_of_any_type(values: object, expected: list[float]) -> None:
    x, wrong = read_rows(pd.DataFrame({"a": pd.Series(values)}), [Column("a", decimal=".", missing=("-999",))])
    assert np.array_equal(x[:, 0], expected, equal_nan=True)
    assert not wrong["a"].any()


@pytest.mark.parametrize(
    "values", [["5", "5.0", " 5 "], [5, 5, 5], [5.0, 5.0, 5.0], pd.Categorical(["5", "5.0", " 5 "])]
)
def test_notations_of_a_value_give_one_number_and_one_level(values: object) -> None:
    columns = [Column("a", decimal="."), Column("b", levels=("4", "5"), decimal=".")]
    x, _ = read_rows(pd.DataFrame({"a": values, "b": values}), columns)
    assert x.tolist() == [[5, 2]] * 3


def test_levels_may_have_leading_zeros_and_lists() -> None:
    frame = pd.DataFrame({"zip": ["00501", "501", None, "02139"], "tags": [[1, 2], None, [1, 2], [3]]})
    columns = [Column("zip", ("00501", "02139"), decimal="."), Column("tags", ("[1, 2]",), decimal=".")]
    assert read_rows(frame, columns)[0].tolist() == [[1, 1], [0, 0], [0, 1], [2, 0]]


def test_invalid_cells_are_reported_by_column() -> None:
    frame = pd.DataFrame({"a": ["1", "x", "", "?"], "day": ["2026-11-30", "", "soon", "2026-13-01"]})
    days = Column("day.days", source="day", part="days", format="ISO8601", decimal=".")
    x, wrong = read_rows(frame, [Column("a", decimal=".", missing=("?",)), days])
    assert np.array_equal(x, [[1, 20787], [NAN, NAN], [NAN, NAN], [NAN, NAN]], equal_nan=True)
    assert wrong["a"].tolist() == [False, True, False, False]
    assert wrong["day"].tolist() == [False, False, True, True]
