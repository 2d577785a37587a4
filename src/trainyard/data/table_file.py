"""Tables in files, as pandas reads them."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainyard.errors import listing, reject

if TYPE_CHECKING:
    import pandas as pd

ACCEPTED = "a .csv, .tsv or .parquet file with a header and rows, text in UTF-8"
PARQUET = (".parquet", ".pq")
DELIMITERS = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}  # None: whatever its header uses


def read_table(path: Path, key: str) -> "pd.DataFrame":
    """Return the table of a file.

    Args:
        path: of the file; its ending says what it is.
        key: the config key that names it, for the error.

    Raises:
        ConfigError: no such file, another kind of file, a broken one, or one without rows.
    """
    import pandas as pd  # half a second

    ending = path.suffix.lower()
    if not path.is_file():
        problem = "not a regular file" if path.exists() else f"there is no file {path.absolute()}"
        raise reject(key, path, problem, ACCEPTED)
    if ending not in (*PARQUET, *DELIMITERS):
        raise reject(key, path, f"the ending {ending or '(none)'} is that of no table", ACCEPTED)
    if path.stat().st_size == 0:
        raise reject(key, path, "the file is empty", ACCEPTED)
    try:
        table = pd.read_parquet(path) if ending in PARQUET else read_text(path)
    except (ValueError, OSError, NotImplementedError) as error:  # pandas' and pyarrow's errors are of these kinds
        raise reject(key, path, f"cannot be read ({str(error).splitlines()[0]})", ACCEPTED) from error
    if not len(table):
        raise reject(key, path, "it has no rows", ACCEPTED)
    table = table.reset_index(drop=True).rename(columns=lambda name: str(name).strip())
    if twice := sorted(set(table.columns[table.columns.duplicated()])):
        raise reject(key, path, f"several columns {listing(twice)}", "a header with each name once")
    return table


def nested_columns(path: Path) -> dict[str, str]:
    """Return the types of the nested columns of a Parquet file: lists, structs and maps. CSV files have none."""
    from pyarrow import types  # type: ignore[import-untyped]
    from pyarrow.parquet import read_schema  # type: ignore[import-untyped]

    if path.suffix.lower() not in PARQUET:
        return {}
    return {field.name.strip(): str(field.type) for field in read_schema(path) if types.is_nested(field.type)}


def read_text(path: Path) -> "pd.DataFrame":
    """Return the cells of a text file as text.

    Raises:
        ValueError: it is no such table.
    """
    import pandas as pd

    check_is_text(path)
    options = text_options(path)
    names = pd.read_csv(path, header=None, nrows=1, **options).iloc[0].dropna().str.strip()
    if names.duplicated().any():  # pandas would give other names to all but the first
        raise ValueError(f"several columns {listing(names[names.duplicated()].unique())}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, index_col=False, **options)
    except pd.errors.ParserWarning as warning:
        raise ValueError("its rows have more values than its header has names") from warning


def text_options(path: Path) -> dict[str, Any]:
    """Return the options by which pandas reads a text file without interpreting its cells."""
    separator = DELIMITERS[path.suffix.lower()] or delimiter(path)
    # Without na_values, a delimiter at the end of each row would be an unnamed column.
    return {"sep": separator, "skipinitialspace": True, "dtype": str, "keep_default_na": False, "na_values": [""]}


def has_semicolons(path: Path) -> bool:
    """Whether semicolons separate the columns of a file, which leaves the comma to the decimals."""
    return path.suffix.lower() not in PARQUET and bool(text_options(path)["sep"] == ";")


def check_is_text(path: Path) -> None:
    """Raise a ValueError for a file with bytes of 0, which pandas would take for values."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if b"\0" in block:
                raise ValueError("it holds bytes of 0, as UTF-16 and damaged files do")


def delimiter(path: Path) -> str:
    """Return what separates the columns of a text file: what is most frequent in its header, outside of quotes."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = next((line for line in file if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)
