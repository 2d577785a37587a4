"""Reads tables from CSV, TSV and Parquet files."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainyard.io.errors import config_error, join_limited

if TYPE_CHECKING:
    import pandas as pd

ACCEPTED = "a .csv, .tsv or .parquet file with a header and rows, text in UTF-8"
PARQUET = (".parquet", ".pq")
DELIMITERS = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}  # None: the most frequent candidate in the header


def read_table(path: Path, key: str) -> "pd.DataFrame":
    """Return the table of a file; the cells of text files stay text.

    Args:
        path: of the file; the suffix determines the format.
        key: the config key of the path, for the error.

    Raises:
        ConfigError: the file does not exist, has another format, is damaged, or has no rows.
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
    table = table.reset_index(drop=True).rename(columns=lambda name: str(name).strip())
    if repeated := sorted(set(table.columns[table.columns.duplicated()])):
        raise config_error(key, path, f"several columns {join_limited(repeated)}", "a header with each name once")
    return table


def read_text(path: Path) -> "pd.DataFrame":
    """Return the cells of a text file as text, or raise a ValueError."""
    import pandas as pd

    check_is_text(path)
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
    """Return options for `pandas.read_csv` that leave the cells of a text file as they are."""
    separator = DELIMITERS[path.suffix.lower()]
    if separator is None:
        with path.open(encoding="utf-8", errors="replace") as file:
            header = next((line for line in file if line.strip()), "")
        unquoted = re.sub(r'"[^"]*"', "", header)
        separator = max(",;\t|", key=unquoted.count)
    # Without na_values, a delimiter at the end of each row would become an unnamed column.
    return {"sep": separator, "skipinitialspace": True, "dtype": str, "keep_default_na": False, "na_values": [""]}


def has_semicolons(path: Path) -> bool:
    """Whether a file's columns are separated by semicolons, which suggests decimal commas."""
    return path.suffix.lower() not in PARQUET and bool(text_options(path)["sep"] == ";")


def check_is_text(path: Path) -> None:
    """Raise a ValueError for a file with null bytes, which pandas would accept as values."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if b"\0" in block:
                raise ValueError("it contains null bytes, as UTF-16 and damaged files do")


def nested_columns(path: Path) -> dict[str, str]:
    """Return the types of the lists, structs and maps among the columns of a Parquet file; none for text files."""
    from pyarrow import types  # type: ignore[import-untyped]
    from pyarrow.parquet import read_schema  # type: ignore[import-untyped]

    if path.suffix.lower() not in PARQUET:
        return {}
    return {field.name.strip(): str(field.type) for field in read_schema(path) if types.is_nested(field.type)}
