"""Anyone's table: a CSV, TSV or Parquet file with a column of classes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainyard.data.rows import Rows
from trainyard.data.spec import Column, Examples
from trainyard.data.suspicious_columns import suspicious_columns, typed
from trainyard.data.table_columns import as_text, codes, ordered, quantities
from trainyard.data.table_file import read_table
from trainyard.errors import did_you_mean, listing, reject

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FEW = 20  # numbers that may be classes, whatever they are


class Table(Rows):
    """Rows of a table; numeric columns as they are, categories as codes, and what training knows of each column.
    Args:
        path: a .csv, .tsv or .parquet file.
        target: the column of the classes; rows without one are left out.
        ignore: columns that are not used; one name or several.
        test_path: a file of test rows with the same columns; `None` to take them out of `path`.
        shared: as in `Rows` and `DataModule`.

    Raises:
        ConfigError: a file that cannot be read, a column that is not there, or a target that is no column of classes.
    """

    def __init__(
        self,
        path: str,
        target: str,
        ignore: str | Sequence[str] | None = (),
        test_path: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.files = {"path": Path(path).expanduser()}
        if test_path is not None:
            self.files["test_path"] = Path(test_path).expanduser()
        self.target = str(target)
        self.ignore = [ignore] if isinstance(ignore, str) else [str(name) for name in ignore or ()]

    def read(self) -> dict[str, Examples]:
        """Return the rows, float32 `[N, F]`; a category as its code among all levels of the training file."""
        tables = {key: self.labelled(key, read_table(file, f"data.{key}")) for key, file in self.files.items()}
        if self.known is None:
            self.learn(tables["path"])
        else:
            self.classes, self.columns = self.known.classes, self.known.columns
        splits = {"path": "train", "test_path": "test"}
        return {splits[key]: self.examples(key, table) for key, table in tables.items()}

    def learn(self, table: "pd.DataFrame") -> None:
        """Find out which classes and columns a table has."""
        names = self.features([str(name) for name in table.columns])
        labels = as_text(table[self.target])
        self.classes = ordered(labels)
        self.check_classes(table[self.target])
        found = dict(suspicious_columns(table[names], labels))
        if found:
            lines = "\n".join(f"column {name} {problem}" for name, problem in found.items())
            log.warning("%s\n  to leave out: %s", lines, typed([*self.ignore, *found]))
        self.columns = tuple(
            Column(name, ordered(as_text(table[name])) if quantities(table[name]) is None else ()) for name in names
        )

    def features(self, columns: list[str]) -> list[str]:
        """Return the columns that are learned from, or raise a ConfigError for `ignore` that does not fit them."""
        known = [name for name in columns if name != self.target]
        if self.target in self.ignore:
            raise reject("data.ignore", listing(self.ignore), f"{self.target} is the target", listing(known, 30))
        strange = [f"no column {name}{did_you_mean(name, known)}" for name in self.ignore if name not in known]
        if strange:
            raise reject("data.ignore", listing(self.ignore), "; ".join(strange), listing(known, 30))
        names = [name for name in known if name not in self.ignore]
        if not names:
            key, value = ("data.ignore", listing(self.ignore)) if self.ignore else ("data.path", self.files["path"])
            raise reject(key, value, "no column is left to learn from", f"columns beside {self.target}")
        return names

    def labelled(self, key: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows that have a class."""
        columns = list(table.columns)
        if self.target not in columns:
            problem = f"data.{key} has no such column{did_you_mean(self.target, columns)}"
            raise reject("data.target", self.target, problem, listing(columns, 30))
        missing = table[self.target].isna()
        if missing.all():
            raise reject(f"data.{key}", self.files[key], f"no row has a {self.target}", "rows of known classes")
        if missing.any():
            log.warning("%d of %d rows of data.%s have no %s: left out", missing.sum(), len(table), key, self.target)
            self.report[f"{key}_rows_without_target"] = int(missing.sum())
        return table[~missing]

    def check_classes(self, values: "pd.Series[Any]") -> None:
        """Raise a ConfigError for a target that is constant, or a quantity or an identifier instead of a class."""
        count, rows = len(self.classes), len(values)
        numbers = quantities(values)
        measured = numbers is not None and count > FEW and ((numbers % 1).any() or count > rows / 5)
        if count < 2 or count > rows / 2 or measured:
            problem = f"it has {count} distinct values in {rows} rows ({listing(self.classes, 5)})"
            raise reject("data.target", self.target, problem, "a column of classes, each in several rows")

    def examples(self, key: str, table: "pd.DataFrame") -> Examples:
        """Return the rows of a file as numbers."""
        lacking = [column.name for column in self.columns if column.name not in table.columns]
        if lacking:
            accepted = f"a table with {listing([column.name for column in self.columns], 30)}"
            raise reject(f"data.{key}", self.files[key], f"no column {listing(lacking)}", accepted)
        labels = as_text(table[self.target])
        strange = sorted(set(labels) - set(self.classes))
        if strange:
            problem = f"classes that training lacks: {listing(strange)}"
            raise reject(f"data.{key}", self.files[key], problem, listing(self.classes))
        numbers = [self.numbers(column, table[column.name], key) for column in self.columns]
        y = torch.from_numpy(codes(labels, self.classes)).long() - 1
        x = torch.from_numpy(np.stack(numbers, axis=1)).float()
        return Examples(x, y, torch.tensor(table.index.to_numpy()))

    def numbers(self, column: Column, values: "pd.Series[Any]", key: str) -> Any:
        """Return a column of a file as float64 `[N]`."""
        if column.levels:
            return codes(as_text(values), column.levels)
        numbers = quantities(values)
        if numbers is None:
            raise reject(f"data.{key}", self.files[key], f"{column.name} holds text", "numbers, as in training")
        return numbers
