"""Converts the cells of a table to numbers. Training, evaluation and prediction all use `read_rows`."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.loading.spec import Column
from trainyard.data.tables.dates import date_part, parse_dates

if TYPE_CHECKING:
    import pandas as pd

LARGEST = float(np.finfo(np.float32).max)
# The missing-value markers of pandas, in lower case.
MISSING = {"", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "nat", "null", "none"}
MISSING |= {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
INTEGRAL = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")
CURRENCY_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|Rs\\.?|kr\\.?"
CURRENCY_SIGNS = "".join(sign for sign in map(chr, range(0x24, 0x20D0)) if unicodedata.category(sign) == "Sc")


def read_rows(
    frame: "pd.DataFrame", columns: Sequence[Column], semicolons: bool = False
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
    """Convert a table to the inputs of a model.

    Args:
        frame: cells as text or typed; additional columns are ignored.
        columns: how each is parsed.
        semicolons: whether they separate the columns of the file; the default decimal separator is then the comma.

    Returns:
        Rows `[N, F]`: numbers, NaN if missing; categories as codes, 0 if missing or unknown. And for each header, which
        cells are neither a valid value nor marked as missing, bool `[N]`.
    """
    parts, invalid = [], {}
    for header, group in groupby(columns, key=attrgetter("header")):
        inputs = list(group)
        if not inputs[0].decimal:
            inputs = [replace(inputs[0], decimal="," if semicolons else ".")]
        numbers, invalid[header] = read_column(frame[header], inputs)
        parts.append(numbers)
    return np.concatenate(parts, axis=1), invalid


def read_column(values: "pd.Series[Any]", columns: Sequence[Column]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the inputs made from one column of a table, `[N, len(columns)]`, and which cells are invalid."""
    first = columns[0]
    place, distinct = factorize(values)
    if first.levels:
        code = {level: float(number) for number, level in enumerate(first.levels, start=1)}
        texts = cell_texts(distinct, first.missing)
        codes = [0.0 if text is None else code.get(text) or code.get(strip_zeros(text), 0.0) for text in texts]
        numbers, invalid = np.array(codes, np.float64)[:, None], np.zeros(len(distinct), bool)
    elif first.part:
        texts = cell_texts(distinct, first.missing)
        dates = parse_dates(distinct, texts, first.format)
        numbers = np.stack([date_part(dates, column.part) for column in columns], axis=1)
        invalid = (texts.notna() & dates.isna()).to_numpy(bool)
    else:
        numbers, invalid = read_numbers(distinct, first)
        numbers = np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)[:, None]
    absent = np.full((1, len(columns)), 0.0 if first.levels else np.nan)
    return np.concatenate([numbers, absent])[place], np.append(invalid, False)[place]  # place -1 is the last


def read_numbers(values: "pd.Series[Any]", column: Column) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return cells as numbers, NaN if missing or invalid, and which are invalid."""
    import pandas as pd

    numbers = typed_numbers(values)
    if numbers is not None:
        markers = pd.to_numeric(pd.Series(column.missing, dtype=object), errors="coerce").dropna()
        return np.where(np.isin(numbers, markers), np.nan, numbers), np.zeros(len(numbers), bool)
    texts = cell_texts(values, column.missing)
    numbers = parse_numbers(texts, column.decimal, strict=False)
    return numbers, np.isnan(numbers) & texts.notna().to_numpy(bool)


def typed_numbers(values: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """Return the numbers of a typed column (durations in days); `None` for text, dates and categories."""
    import pandas as pd
    from pandas.api import types

    if not types.is_numeric_dtype(values) and types.infer_dtype(values, skipna=True) in ("boolean", "decimal"):
        values = values.astype("float64")
    if types.is_timedelta64_dtype(values):
        values = values / pd.Timedelta(days=1)
    return values.to_numpy(dtype=np.float64, na_value=np.nan) if types.is_numeric_dtype(values) else None


def factorize(values: "pd.Series[Any]") -> tuple[NDArray[np.int64], "pd.Series[Any]"]:
    """Return the position of each value among the distinct ones, -1 for missing values, and the distinct ones."""
    import pandas as pd

    try:
        place, distinct = pd.factorize(values)
    except TypeError:  # lists and other unhashable values of Parquet files
        place, distinct = pd.factorize(values.map(str, na_action="ignore"))
    return place, pd.Series(distinct)


def cell_texts(values: "pd.Series[Any]", missing: Sequence[str] = ()) -> "pd.Series[Any]":
    """Return cells as text without surrounding whitespace, `None` for markers of missing values."""
    from pandas.api import types

    texts = values.str.strip() if types.infer_dtype(values) == "string" else values.astype(object).map(to_text)
    texts = texts.astype(object)
    given = [marker.strip().casefold() for marker in missing]
    markers = {*MISSING, *given, *(f"{marker}.0" for marker in given)}
    return texts.where(~texts.astype(str).str.casefold().isin(markers), None)


def to_text(value: object) -> str:
    """Return a value as text without surrounding whitespace, a whole number without decimals."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def strip_zeros(text: str) -> str:
    """Return "5" for "5.0", and any other text unchanged."""
    found = INTEGRAL.fullmatch(text)
    return found[1] if found else text


def parse_numbers(texts: "pd.Series[Any]", decimal: str, strict: bool = True) -> NDArray[np.float64]:
    """Return texts as numbers, NaN if that is not possible.

    Args:
        texts: such as `4.1`, `1e-3`, `inf`, `$94,050.00`, `12 %`, `(3)` for -3, `true`; `None` if missing.
        decimal: `.` or `,`; the other one may separate thousands.
        strict: whether cells that are numbers only with the other decimal separator become NaN.
    """
    import pandas as pd

    converted = pd.to_numeric(texts, errors="coerce")
    numbers: NDArray[np.float64] = converted.to_numpy(np.float64, copy=True, na_value=np.nan)
    if decimal == ",":
        numbers = np.where(texts.str.contains(".", regex=False).fillna(False).to_numpy(bool), np.nan, numbers)
    for separator in (decimal,) if strict else (decimal, "," if decimal == "." else "."):
        rest = np.isnan(numbers) & texts.notna().to_numpy(bool)
        numbers[rest] = [parse_number(text, separator) for text in texts.to_numpy(object)[rest]]
    return numbers


def parse_number(text: str, decimal: str) -> float:
    """Return a number with thousands separators, a currency, a percent sign or accounting brackets; else NaN."""
    found = number_pattern(decimal).fullmatch(text)
    if not found:
        return {"true": 1.0, "false": 0.0}.get(text.casefold(), np.nan)
    signs = (found["before"] or "") + (found["after"] or "")
    if text.count("(") != text.count(")") or len(signs) > 1:
        return np.nan
    number = float(re.sub(rf"[^\d{decimal}eE+-]", "", found["number"]).replace(",", "."))
    return number if signs in ("", "+") else -number


@cache
def number_pattern(decimal: str) -> re.Pattern[str]:
    """Return a pattern for numbers, with one thousands separator per number."""
    unit = rf"(?:[{re.escape(CURRENCY_SIGNS)}%]|{CURRENCY_CODES})"
    other = "," if decimal == "." else r"\."
    groups = rf"[1-9]\d{{0,2}}(?:(?P<group>[{other}' \u00a0\u2009\u202f\u2019])\d{{3}}(?:(?P=group)\d{{3}})*)"
    indian = r"[1-9]\d?(?:,\d\d)+,\d{3}"
    digits = rf"(?:{groups}|{indian}|\d+)" if decimal == "." else rf"(?:{groups}|\d+)"
    number = rf"(?:{digits}(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)(?:[eE][+-]?\d{{1,3}})?"
    return re.compile(
        rf"(?P<before>[-+(\u2212])?\s*(?:{unit}\s*)?(?P<after>[-+(\u2212])?(?P<number>{number})\s*\)?(?:\s*{unit})?\)?"
    )
