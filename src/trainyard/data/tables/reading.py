"""Reads tables from CSV, TSV and Parquet files, and converts their cells to numbers.

Training, evaluation and prediction all use `read_table` and `read_rows`.
"""

import re
import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.tables.dates import date_part, parse_dates
from trainyard.io.errors import config_error, join_limited

if TYPE_CHECKING:
    import pandas as pd

    from trainyard.data.loading.spec import Column  # imports torch, which takes seconds

ACCEPTED = "a .csv, .tsv or .parquet file with a header and rows, text in UTF-8"
PARQUET = (".parquet", ".pq")
DELIMITERS = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}  # None: the most frequent candidate in the header
MAX_FLOAT32 = float(np.finfo(np.float32).max)
# The missing-value markers of pandas, in lower case.
MISSING = {"", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "nat", "null", "none"}
INTEGRAL = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")
CURRENCY_CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|Rs\\.?|kr\\.?"
CURRENCY_SIGNS = "".join(sign for sign in map(chr, range(0x24, 0x20D0)) if unicodedata.category(sign) == "Sc")


def read_table(path: Path, key: str) -> "pd.DataFrame":
    """Return the table of a file, whose suffix determines the format; the cells of text files are not converted.

    Raises:
        ConfigError: the file does not exist, has another format, is damaged, or has no rows; it names the config `key`.
    """
    import pandas as pd  # takes half a second

    suffix = path.suffix.lower()
    if not path.is_file():
        problem = "not a regular file" if path.exists() else f"there is no file {path.absolute()}"
        raise config_error(key, path, problem, ACCEPTED)
    if suffix not in (*PARQUET, *DELIMITERS):
        raise config_error(key, path, f"unknown suffix {suffix or '(none)'}", ACCEPTED)
    if path.stat().st_size == 0:
        raise config_error(key, path, "the file is empty", ACCEPTED)
    try:
        table = pd.read_parquet(path) if suffix in PARQUET else read_text(path)
    except (ValueError, OSError, NotImplementedError) as error:  # base classes of pandas' and pyarrow's errors
        raise config_error(key, path, f"cannot be read ({str(error).splitlines()[0]})", ACCEPTED) from error
    if not len(table):
        raise config_error(key, path, "it has no rows", ACCEPTED)
    return table.reset_index(drop=True).rename(columns=lambda name: str(name).strip())


def nested_columns(path: Path) -> dict[str, str]:
    """Return the types of the columns of a Parquet file that contain lists, structs or maps."""
    from pyarrow import types  # type: ignore[import-untyped]
    from pyarrow.parquet import read_schema  # type: ignore[import-untyped]

    if path.suffix.lower() not in PARQUET:
        return {}
    return {field.name.strip(): str(field.type) for field in read_schema(path) if types.is_nested(field.type)}


def read_text(path: Path) -> "pd.DataFrame":
    """Return the cells of a text file as text, or raise a ValueError."""
    import pandas as pd

    if b"\0" in path.read_bytes():  # pandas would accept them as values
        raise ValueError("it contains null bytes, as UTF-16 and damaged files do")
    options = text_options(path)
    names = pd.read_csv(path, header=None, nrows=1, **options).iloc[0].dropna().str.strip()
    if names.duplicated().any():  # pandas would rename them
        raise ValueError(f"several columns {join_limited(names[names.duplicated()].unique())}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, index_col=False, **options)
    except pd.errors.ParserWarning as warning:
        raise ValueError("its rows have more values than its header has names") from warning


def text_options(path: Path) -> dict[str, Any]:
    """Return options for `pandas.read_csv` that do not change the cells of a text file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = next((line for line in file if line.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    separator = DELIMITERS[path.suffix.lower()] or max(",;\t|", key=unquoted.count)
    # Without na_values, a delimiter at the end of each row would become an unnamed column.
    return {"sep": separator, "skipinitialspace": True, "dtype": str, "keep_default_na": False, "na_values": [""]}


def has_semicolons(path: Path) -> bool:
    """Whether semicolons separate the columns of a file, which suggests decimal commas."""
    return path.suffix.lower() not in PARQUET and bool(text_options(path)["sep"] == ";")


def read_rows(
    frame: "pd.DataFrame", columns: "Sequence[Column]"
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.bool_]]]:
    """Convert a table to the inputs of a model.

    Returns:
        Rows `[N, F]`: numbers, NaN if missing; categories as codes, 0 if missing or unknown. And for each header, which
        cells are neither a valid value nor marked as missing, bool `[N]`.
    """
    blocks, invalid = [], {}
    for header, inputs in groupby(columns, key=attrgetter("header")):
        numbers, invalid[header] = read_column(frame[header], list(inputs))
        blocks.append(numbers)
    return np.concatenate(blocks, axis=1), invalid


def read_column(values: "pd.Series[Any]", columns: "Sequence[Column]") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the inputs made from one column of a table, `[N, len(columns)]`, and which cells are invalid, `[N]`."""
    first = columns[0]
    positions, distinct = factorize(values)
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
        numbers = np.where(np.abs(numbers) <= MAX_FLOAT32, numbers, np.nan)[:, None]
    absent = np.full((1, len(columns)), 0.0 if first.levels else np.nan)  # at position -1
    return np.concatenate([numbers, absent])[positions], np.append(invalid, False)[positions]


def read_numbers(values: "pd.Series[Any]", column: "Column") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
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
    """Return the position of each value in the distinct values, -1 if it is missing, and the distinct values."""
    import pandas as pd

    try:
        positions, distinct = pd.factorize(values)
    except TypeError:  # lists and other unhashable values of Parquet files
        positions, distinct = pd.factorize(values.map(str, na_action="ignore"))
    return positions, pd.Series(distinct)


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
    match = INTEGRAL.fullmatch(text)
    return match[1] if match else text


def parse_numbers(texts: "pd.Series[Any]", decimal: str, strict: bool = True) -> NDArray[np.float64]:
    """Return texts such as `4.1`, `1e-3`, `$94,050.00`, `12 %`, `(3)` for -3, or `true` as numbers; others become NaN.

    With the decimal separator `.`, a `,` may separate thousands, and vice versa. Unless `strict`, a cell that is only a
    number with the other decimal separator is parsed with that one.
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
    match = number_pattern(decimal).fullmatch(text)
    if not match:
        return {"true": 1.0, "false": 0.0}.get(text.casefold(), np.nan)
    signs = (match["before"] or "") + (match["after"] or "")
    if text.count("(") != text.count(")") or len(signs) > 1:
        return np.nan
    number = float(re.sub(rf"[^\d{decimal}eE+-]", "", match["number"]).replace(",", "."))
    return number if signs in ("", "+") else -number


@cache
def number_pattern(decimal: str) -> re.Pattern[str]:
    """Return a pattern for numbers, with one thousands separator per number, or Indian groups such as `12,34,567`."""
    unit = rf"(?:[{re.escape(CURRENCY_SIGNS)}%]|{CURRENCY_CODES})"
    other = "," if decimal == "." else r"\."
    groups = rf"[1-9]\d{{0,2}}(?:(?P<group>[{other}' \u00a0\u2009\u202f\u2019])\d{{3}}(?:(?P=group)\d{{3}})*)"
    indian = r"|[1-9]\d?(?:,\d\d)+,\d{3}" if decimal == "." else ""
    number = rf"(?:(?:{groups}{indian}|\d+)(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)(?:[eE][+-]?\d{{1,3}})?"
    return re.compile(
        rf"(?P<before>[-+(\u2212])?\s*(?:{unit}\s*)?(?P<after>[-+(\u2212])?(?P<number>{number})\s*\)?(?:\s*{unit})?\)?"
    )
