"""Anyone's table: a CSV, TSV or Parquet file with a column of classes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainyard.data.rows import Rows
from trainyard.data.spec import Column, Examples
from trainyard.data.suspicious_columns import suspicious_columns
from trainyard.data.table_columns import as_text, codes, is_quantity, ordered, quantities
from trainyard.data.table_file import read_table
from trainyard.errors import did_you_mean, listing, reject

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class Table(Rows):
    """Rows of a table; numeric columns as they are, categories as codes, and what training knows of each column.
    Args:
        path: a .csv, .tsv or .parquet file.
        target: the column of the classes; rows without one are left out.
        ignore: columns that are not used.
        test_path: a file of test rows with the same columns; `None` to take them out of `path`.
        shared: as in `Rows` and `DataModule`.

    Raises:
        ConfigError: a file that cannot be read, a column that is not there, or a target that is no column of classes.
    """

    def __init__(
        self,
        path: str,
        target: str,
        ignore: Sequence[str] = (),
        test_path: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.files = {"path": Path(path).expanduser()}
        if test_path is not None:
            self.files["test_path"] = Path(test_path).expanduser()
        self.target = str(target)
        self.ignore = [str(name) for name in ignore]

    def read(self) -> dict[str, Examples]:
        """Return the rows, float32 `[N, F]`; a category as its code among all levels of the training file."""
        tables = {key: self.labelled(key, read_table(file, f"data.{key}")) for key, file in self.files.items()}
        table = tables["path"]
        known = [str(name) for name in table.columns if name != self.target]
        for name in self.ignore:
            if name not in known:
                raise reject("data.ignore", self.ignore, f"no column {name}{did_you_mean(name, known)}", listing(known))
        names = [name for name in known if name not in self.ignore]
        if not names:
            raise reject("data.ignore", self.ignore, "no column is left to learn from", "fewer of them")
        labels = as_text(table[self.target])
        self.classes = ordered(labels)
        self.check_classes(len(table))
        for warning in suspicious_columns(table[names], labels):
            log.warning("%s", warning)
        self.columns = tuple(
            Column(name, () if is_quantity(table[name]) else ordered(as_text(table[name]))) for name in names
        )
        splits = {"path": "train", "test_path": "test"}
        return {splits[key]: self.examples(key, table) for key, table in tables.items()}

    def labelled(self, key: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows that have a class."""
        columns = list(table.columns)
        if self.target not in columns:
            problem = f"data.{key} has no such column{did_you_mean(self.target, columns)}"
            raise reject("data.target", self.target, problem, listing(columns, 30))
        missing = table[self.target].isna()
        if missing.any():
            log.warning("%d of %d rows of data.%s have no %s: left out", missing.sum(), len(table), key, self.target)
            self.report[f"{key}_rows_without_target"] = int(missing.sum())
        return table[~missing]

    def check_classes(self, rows: int) -> None:
        """Raise a ConfigError for a target that is constant, or a quantity or an identifier instead of a class."""
        count = len(self.classes)
        if count < 2 or count > rows / 2:
            problem = f"it has {count} distinct values in {rows} rows ({listing(self.classes, 5)})"
            raise reject("data.target", self.target, problem, "a column of classes, each in several rows")

    def examples(self, key: str, table: "pd.DataFrame") -> Examples:
        """Return the rows of a file as numbers."""
        lacking = [column.name for column in self.columns if column.name not in table.columns]
        if lacking:
            raise reject(f"data.{key}", self.files[key], f"no column {listing(lacking)}", "the columns of data.path")
        labels = as_text(table[self.target])
        strange = sorted(set(labels) - set(self.classes))
        if strange:
            problem = f"classes that data.path lacks: {listing(strange)}"
            raise reject(f"data.{key}", self.files[key], problem, listing(self.classes))
        numbers = [self.numbers(column, table[column.name], key) for column in self.columns]
        y = torch.from_numpy(codes(labels, self.classes)).long() - 1
        return Examples(torch.from_numpy(np.stack(numbers, axis=1)).float(), y, torch.arange(len(table)))

    def numbers(self, column: Column, values: "pd.Series[Any]", key: str) -> Any:
        """Return a column of a file as float64 `[N]`."""
        if column.levels or not is_quantity(values):
            if not column.levels and values.notna().any():
                raise reject(f"data.{key}", self.files[key], f"{column.name} holds text", "numbers, as in data.path")
            return codes(as_text(values), column.levels)
        return quantities(values)
