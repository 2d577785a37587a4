"""How a column is read is learned from the training file: numbers with exceptions, separators, codes, categories."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from trainyard.data.cells import read_rows
from trainyard.data.spec import Column, DataSpec
from trainyard.data.table_columns import Conventions, learn_columns

NAN = float("nan")


def learned(values: object, semicolons: bool = False, **said: object) -> tuple[Column, list[str]]:
    columns, notes = learn_columns(pd.DataFrame({"power": values}), Conventions(**said), semicolons)
    [column] = columns["power"]
    return column, notes


def read(values: object, column: Column) -> list[float]:
    return read_rows(pd.DataFrame({"power": values}), [column])[0][:, 0].tolist()


def test_a_few_exceptions_leave_a_column_numeric_and_are_named() -> None:
    column, notes = learned([*map(str, range(95)), "?", "?", "?", "-", "n.a.", "", "NA"])
    assert notes == ["column power: 5 of 100 values are not numeric: '?', '-', 'n.a.'; read as missing"]
    assert not column.levels
    assert np.array_equal(read(["7", " ? ", "N.A.", "-"], column), [7, NAN, NAN, NAN], equal_nan=True)


def test_more_exceptions_make_categories_with_advice() -> None:
    values = [*map(str, [*range(80)] * 2), *["?"] * 40]
    column, notes = learned(values)
    assert len(column.levels) == 81
    assert notes == [
        "column power: 160 of 200 values are numeric, the others are '?'; "
        """read as categories, or with 'data.missing=["?"]' as numbers"""
    ]
    column, notes = learned(values, missing=("?",))
    assert (column.levels, notes) == ((), [])
    assert np.array_equal(read(["7", "?"], column), [7, NAN], equal_nan=True)


def test_markers_count_in_categories_too() -> None:
    column, _ = learned(["red", "?", "blue", "red"], missing=("?",))
    assert column.levels == ("blue", "red")
    assert read(["?", "red", "none"], column) == [0, 2, 0]


@pytest.mark.parametrize(
    ("values", "semicolons", "expected"),
    [
        (["$4.10", "$1,234.50"], False, [4.1, 1234.5]),
        (["12 %", "3 %"], False, [12, 3]),
        (["94,050.00", "1,000"], False, [94050, 1000]),
        (["4,10", "1,234"], False, [4.1, 1.234]),  # 4,10 settles it
        (["1.234,50", "1.234"], False, [1234.5, 1234]),
        (["1,234", "5,678"], False, [1234, 5678]),
        (["1,234", "5,678"], True, [1.234, 5.678]),
        (["1.234", "5.678"], True, [1.234, 5.678]),
        (["1,234", "4.5"], True, [1234, 4.5]),
        (["(1,234)", "56"], False, [-1234, 56]),
        (["18446744073709551617", "1"], False, [2.0**64, 1]),
        (["True", "false"], False, [1, 0]),
        (["inf", "1"], False, [NAN, 1]),
    ],
)
def test_how_numbers_are_written(values: list[str], semicolons: bool, expected: list[float]) -> None:
    column, _ = learned(values, semicolons)
    assert not column.levels
    assert np.array_equal(read(values, column), expected, equal_nan=True)


def test_a_choice_between_decimals_and_thousands_is_said() -> None:
    _, notes = learned(["1,234", "5"])
    assert notes == ["column power: 1,234 is read as 1234; data.decimal=comma reads it as 1.234"]
    column, notes = learned(["1,234", "5"], decimal=",")
    assert (read(["1,234"], column), notes) == ([1.234], [])


def test_the_other_numbers_of_a_file_settle_what_a_column_leaves_open() -> None:
    frame = pd.DataFrame({"price": ["4,10", "5,25"], "people": ["1.234", "2.345"]})
    columns, notes = learn_columns(frame, Conventions(), semicolons=True)
    assert notes == []
    x, _ = read_rows(frame, [column for inputs in columns.values() for column in inputs])
    assert x.tolist() == [[4.1, 1234], [5.25, 2345]]


def test_codes_with_leading_zeros_are_categories() -> None:
    assert learned(["02139", "10001", "02139", "10001"])[0].levels == ("02139", "10001")
    assert learned(["01", "12", "07", "3"])[0].levels == (), "of several lengths"
    assert learned(["001", "002", "003", "004"])[0].levels == (), "each is there once"
    assert learned([*["02139", "10001"] * 20, "?"])[0].levels == ("02139", "10001", "?"), "an exception changes nothing"


def test_categories_of_parquet_stay_categories() -> None:
    assert learned(pd.Series([1, 2, 1, 2], dtype="category"))[0].levels == ("1", "2")


def test_an_empty_column_is_numeric_and_missing() -> None:
    for values in ([None, None], ["", "NA"], [NAN, NAN]):
        column, notes = learned(values)
        assert (column.levels, notes) == ((), [])
        assert np.isnan(read(values, column)).all()


def test_a_spec_survives_its_way_through_a_checkpoint_and_an_older_one_loads() -> None:
    columns, _ = learn_columns(
        pd.DataFrame(
            {
                "a": [*map(str, range(40)), "?"],
                "b": ["01/31/2016", "02/28/2017"] * 20 + [""],
                "c": list("xyz") * 13 + ["x", "y"],
            }
        ),
        Conventions(),
        semicolons=False,
    )
    flat = tuple(column for inputs in columns.values() for column in inputs)
    spec = DataSpec((len(flat),), ("p", "q"), flat, (0.0,) * len(flat), (1.0,) * len(flat))
    assert DataSpec.from_dict(spec.to_dict()) == spec
    assert DataSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    old = ("name", "levels", "median", "may_miss", "embedded")
    stored = spec.to_dict()
    stored["columns"] = [{key: column[key] for key in old} for column in stored["columns"]]
    expected = [Column(**{key: dataclasses.asdict(column)[key] for key in old}) for column in flat]
    assert list(DataSpec.from_dict(stored).columns) == expected
