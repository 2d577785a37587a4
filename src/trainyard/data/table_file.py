"""Tables in files, as pandas reads them."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from trainyard.errors import reject

if TYPE_CHECKING:
    import pandas as pd

ACCEPTED = "a .csv, .tsv or .parquet file with a header and rows"
DELIMITERS = {".csv": None, ".txt": None, ".tsv": "\t", ".tab": "\t"}  # None: whatever its first lines use


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
        raise reject(key, path, f"there is no file {path.absolute()}", ACCEPTED)
    try:
        if ending in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        elif ending in DELIMITERS:
            table = pd.read_csv(path, sep=DELIMITERS[ending] or delimiter(path))
        else:
            raise reject(key, path, f"the ending {ending or '(none)'} is that of no table", ACCEPTED)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's errors are of these kinds
        if path.stat().st_size == 0:
            raise reject(key, path, "the file is empty", ACCEPTED) from error
        raise reject(key, path, f"cannot be read ({str(error).splitlines()[0]})", ACCEPTED) from error
    if not len(table):
        raise reject(key, path, "it has no rows", ACCEPTED)
    return table.rename(columns=str)


def delimiter(path: Path) -> str:
    """Return what separates the columns of a text file."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        head = file.readline()
    try:
        return csv.Sniffer().sniff(head, ",;\t|").delimiter
    except csv.Error:  # one column alone
        return ","
