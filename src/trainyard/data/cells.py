"""The cells of a table as numbers. Training, evaluation and prediction all read them with `read_rows`."""

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

from trainyard.data.dates import ISO, read_moments, read_part
from trainyard.data.spec import Column

if TYPE_CHECKING:
    import pandas as pd

LARGEST = float(np.finfo(np.float32).max)
# The markers that pandas knows, compared without regard to case.
MISSING = {"", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "nat", "null", "none"}
MISSING |= {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")
CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|Rs\\.?|kr\\.?"
SYMBOLS = "".join(sign for sign in map(chr, range(0x24, 0x20D0)) if unicodedata.category(sign) == "Sc")


def read_rows(
    frame: "pd.DataFrame", columns: Sequence[Column], semicolons: bool = False
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
    """Read a table as a model takes it.

    Args:
        frame: cells as text or typed; it may have other columns too.
        columns: how each is read.
        semicolons: whether they separate the columns of the file; then the comma is the decimal separator of numbers of
            which none is known.

    Returns:
        Rows `[N, F]`: numbers, NaN where one is missing; a category as its code, 0 for a missing or unknown level. And
        for each header, bool `[N]`: which cells hold something that is neither a value nor marked as missing.
    """
    parts, wrong = [], {}
    for header, group in groupby(columns, key=attrgetter("header")):
        inputs = list(group)
        if not inputs[0].decimal:  # of an older checkpoint, whose dates are days since 1970
            inputs = [replace(inputs[0], decimal="," if semicolons else ".", format=ISO)]
        numbers, wrong[header] = read_column(frame[header], inputs)
        parts.append(numbers)
    return np.concatenate(parts, axis=1), wrong


def read_column(values: "pd.Series[Any]", columns: Sequence[Column]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read the column of a table that gives one or several inputs, `[N, len(columns)]`, and which cells are wrong."""
    first = columns[0]
    place, distinct = factorize(values)
    if first.levels:
        numbers = level_codes(cell_texts(distinct, first.missing), first.levels)[:, None]
        wrong = np.zeros(len(distinct), bool)
    elif first.part:
        texts = cell_texts(distinct, first.missing)
        moments = read_moments(distinct, texts, first.format)
        numbers = np.stack([read_part(moments, column.part) for column in columns], axis=1)
        wrong = (texts.notna() & moments.isna()).to_numpy(bool)
    else:
        numbers, wrong = read_numbers(distinct, first)
        numbers = np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)[:, None]
    absent = np.full((1, len(columns)), 0.0 if first.levels else np.nan)
    return np.concatenate([numbers, absent])[place], np.append(wrong, False)[place]  # a place of -1 is the last


def factorize(values: "pd.Series[Any]") -> tuple[NDArray[np.int64], "pd.Series[Any]"]:
    """Return the place of each value among the distinct ones, -1 where there is none, and the distinct ones."""
    import pandas as pd

    try:
        place, distinct = pd.factorize(values)
    except TypeError:  # lists and the like, which Parquet may hold
        place, distinct = pd.factorize(values.map(str, na_action="ignore"))
    return place, pd.Series(distinct)


def cell_texts(values: "pd.Series[Any]", missing: Sequence[str] = ()) -> "pd.Series[Any]":
    """Return cells as text without surrounding whitespace, with nothing for a marker of a missing value."""
    from pandas.api import types

    texts = values.str.strip() if types.infer_dtype(values) == "string" else values.astype(object).map(text_of)
    texts = texts.astype(object)
    own = [marker.strip().casefold() for marker in missing]
    markers = {*MISSING, *own, *(f"{marker}.0" for marker in own)}
    return texts.where(~texts.astype(str).str.casefold().isin(markers), None)


def text_of(value: object) -> str:
    """Return a value as text without surrounding whitespace; a whole number without a point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def whole(text: str) -> str:
    """Return "5" for "5.0", and any other text as it is."""
    found = WHOLE.fullmatch(text)
    return found[1] if found else text


def level_codes(texts: "pd.Series[Any]", levels: Sequence[str]) -> NDArray[np.float64]:
    """Return the code of each text, 1 for the first level and so on; 0 for a missing or unknown one."""
    code = {level: float(number) for number, level in enumerate(levels, start=1)}
    codes = [0.0 if text is None else code.get(text) or code.get(whole(text), 0.0) for text in texts]
    return np.array(codes, np.float64)


def typed_numbers(values: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """Return the numbers of a typed column (durations in days), or `None` if it holds text, dates or categories."""
    import pandas as pd
    from pandas.api import types

    if not types.is_numeric_dtype(values) and types.infer_dtype(values, skipna=True) in ("boolean", "decimal"):
        values = values.astype("float64")
    if types.is_timedelta64_dtype(values):
        values = values / pd.Timedelta(days=1)
    return values.to_numpy(dtype=np.float64, na_value=np.nan) if types.is_numeric_dtype(values) else None


def read_numbers(values: "pd.Series[Any]", column: Column) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return cells as numbers, NaN where one is missing or wrong, and which are wrong.

    If the column has a format, dates are days since 1970.
    """
    import pandas as pd

    numbers = typed_numbers(values)
    if numbers is not None:
        markers = pd.to_numeric(pd.Series(column.missing, dtype=object), errors="coerce").dropna()
        return np.where(np.isin(numbers, markers), np.nan, numbers), np.zeros(len(numbers), bool)
    texts = cell_texts(values, column.missing)
    numbers = parse_numbers(texts, column.decimal, strict=False)
    if column.format:
        days = read_moments(values, texts, column.format) - pd.Timestamp(0)
        numbers = np.where(np.isnan(numbers), days / pd.Timedelta(days=1), numbers)
    return numbers, np.isnan(numbers) & texts.notna().to_numpy(bool)


def parse_numbers(texts: "pd.Series[Any]", decimal: str, strict: bool = True) -> NDArray[np.float64]:
    """Return texts as numbers, NaN where one is not.

    Args:
        texts: such as `4.1`, `1e-3`, `inf`, `$94,050.00`, `12 %`, `(3)` for -3, `true`; `None` for a missing one.
        decimal: `.` or `,`; the other one may separate thousands.
        strict: whether a cell that is a number only with the other separator is none.
    """
    import pandas as pd

    numbers: NDArray[np.float64] = pd.to_numeric(texts, errors="coerce").to_numpy(
        np.float64, copy=True, na_value=np.nan
    )
    if decimal == ",":
        numbers = np.where(texts.str.contains(".", regex=False).fillna(False).to_numpy(bool), np.nan, numbers)
    rest = np.isnan(numbers) & texts.notna().to_numpy(bool)
    numbers[rest] = [parse_number(text, decimal) for text in texts.to_numpy(object)[rest]]
    if not strict:
        other = "," if decimal == "." else "."
        rest &= np.isnan(numbers)
        numbers[rest] = [parse_number(text, other) for text in texts.to_numpy(object)[rest]]
    return numbers


def parse_number(text: str, decimal: str) -> float:
    """Return a number as people and spreadsheets write it, NaN for anything else."""
    found = number_pattern(decimal).fullmatch(text)
    if not found:
        return {"true": 1.0, "false": 0.0}.get(text.casefold(), np.nan)
    before, after = found["before"] or "", found["after"] or ""
    if text.count("(") != text.count(")") or len(before + after) > 1:
        return np.nan
    number = float(re.sub(rf"[^\d{decimal}eE+-]", "", found["number"]).replace(",", "."))
    return number if before + after in ("", "+") else -number


@cache
def number_pattern(decimal: str) -> re.Pattern[str]:
    """Return what a number looks like: thousands in groups of the same separator, a currency or percent sign."""
    unit = rf"(?:[{re.escape(SYMBOLS)}%]|{CODES})"
    other = "," if decimal == "." else r"\."
    groups = rf"[1-9]\d{{0,2}}(?:(?P<group>[{other}' \u00a0\u2009\u202f\u2019])\d{{3}}(?:(?P=group)\d{{3}})*)"
    indian = r"[1-9]\d?(?:,\d\d)+,\d{3}"
    digits = rf"(?:{groups}|{indian if decimal == '.' else groups.replace('group', 'again')}|\d+)"
    number = rf"(?:{digits}(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)(?:[eE][+-]?\d{{1,3}})?"
    return re.compile(
        rf"(?P<before>[-+(\u2212])?\s*(?:{unit}\s*)?(?P<after>[-+(\u2212])?(?P<number>{number})\s*\)?(?:\s*{unit})?\)?"
    )
