"""Cells as numbers and codes: every way to write a value gives the same number."""

import decimal
import math

import numpy as np
import pandas as pd
import pytest

from trainyard.data.loading.spec import Column
from trainyard.data.tables.cells import cell_texts, parse_numbers, read_rows

NAN = float("nan")
NUMBERS = {
    "5": 5, "5.0": 5, "+5": 5, ".5": 0.5, "5.": 5, "1e-3": 0.001, "-4.10": -4.1, "007": 7, "true": 1, "FALSE": 0,
    "$4.10": 4.1, "-$4.10": -4.1, "$-4.10": -4.1, "4.10 €": 4.1, "USD 4.10": 4.1, "($4.10)": -4.1, "(3)": -3,
    "12 %": 12, "12%": 12, "94,050.00": 94050, "1,234,567": 1234567, "12,34,567.5": 1234567.5, "1 234.5": 1234.5,
    "1\u00a0234": 1234, "1'234'567": 1234567, "\N{MINUS SIGN}5": -5, "18446744073709551617": 2.0**64, "inf": math.inf,
}  # fmt: skip
COMMAS = {"4,10": 4.1, "1.234,5": 1234.5, "1.234": 1234, "1,234": 1.234, "1 234 567,5": 1234567.5, "€ 5,00": 5, "7": 7}
NO_NUMBERS = ["abc", "?", "-", "$", "%", "1-2", "1.2.3", "12:30", "(3", "3)", "--3", "-(3)", "1_000", "0x10", "12 34"]


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_with_a_decimal_point(text: str) -> None:
    assert parse_numbers(pd.Series([text], dtype=object), ".").tolist() == [NUMBERS[text]]


@pytest.mark.parametrize("text", COMMAS)
def test_numbers_with_a_decimal_comma(text: str) -> None:
    assert parse_numbers(pd.Series([text], dtype=object), ",").tolist() == [COMMAS[text]]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "4,10", "1,23,45", "1.234,50", "0,123"])
def test_texts_that_are_not_numbers(text: str) -> None:
    assert np.isnan(parse_numbers(pd.Series([text], dtype=object), ".")).all()


def test_the_other_separator_is_tried_for_invalid_numbers() -> None:
    texts = pd.Series(["4,10", "1,234", "4.10", "1.234"], dtype=object)
    assert parse_numbers(texts, ".", strict=False).tolist() == [4.1, 1234, 4.1, 1.234]
    assert parse_numbers(texts, ",", strict=False).tolist() == [4.1, 1.234, 4.1, 1234]


@pytest.mark.parametrize(
    "text", ["", "  ", "NA", "n/a", "N/A", "null", "NULL", "None", "nan", "NaN", "<NA>", "-999", "?"]
)
def test_missing_value_markers(text: str) -> None:
    assert cell_texts(pd.Series([text]), ["?", "-999"]).isna().all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], [1, 2, NAN]),
        ([float("inf"), 1e39, -5.0], [NAN, NAN, -5]),  # float32 holds neither
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
def test_typed_and_written_numbers(values: object, expected: list[float]) -> None:
    x, wrong = read_rows(pd.DataFrame({"a": pd.Series(values)}), [Column("a", decimal=".", missing=("-999",))])
    assert np.array_equal(x[:, 0], expected, equal_nan=True)
    assert not wrong["a"].any()


@pytest.mark.parametrize(
    "values", [["5", "5.0", " 5 "], [5, 5, 5], [5.0, 5.0, 5.0], pd.Categorical(["5", "5.0", " 5 "])]
)
def test_one_value_is_one_number_and_one_level(values: object) -> None:
    columns = [Column("a", decimal="."), Column("b", levels=("4", "5"), decimal=".")]
    x, _ = read_rows(pd.DataFrame({"a": values, "b": values}), columns)
    assert x.tolist() == [[5, 2]] * 3


def test_text_of_levels_with_leading_zeros_lists_and_unknown_ones() -> None:
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


def test_semicolons_suggest_decimal_commas() -> None:
    frame = pd.DataFrame({"a": ["1,234", "x"]})
    for semicolons, number in ((True, 1.234), (False, 1234)):
        x, invalid = read_rows(frame, [Column("a")], semicolons)
        assert x[0, 0] == number
        assert invalid["a"].tolist() == [False, True]
