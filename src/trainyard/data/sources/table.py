"""Sources of rows: the base class, and tables in CSV, TSV and Parquet files."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.tables.columns import MIN_SHARE, CellFormat, ColumnValues, fit_column, learn_columns, recode_levels
from trainyard.data.tables.reading import (
    factorize,
    has_semicolons,
    nested_columns,
    read_column,
    read_rows,
    read_table,
    strip_zeros,
    to_text,
)
from trainyard.io.errors import config_error, did_you_mean, join_limited
from trainyard.io.files import natural_key

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_NUMERIC_CLASSES = 20  # a target with more distinct numbers may be a quantity
MAX_LISTED = 14  # columns in a message
DECIMALS = {None: None, "point": ".", "comma": ","}


class Rows(DataModule):
    """A source of rows, whose medians and levels are learned from the training rows and stored in the model.

    Missing numbers become the median, with a missing indicator if training rows lack some; categories are one-hot
    encoded, or embedded if they have many levels.

    Args:
        one_hot_limit: categories with more levels are embedded.
        shared: arguments of `DataModule`.
    """

    kind = "rows"

    def __init__(self, one_hot_limit: int = 16, **shared: Any) -> None:
        super().__init__(**shared)
        self.one_hot_limit = one_hot_limit

    def preprocess(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Fit the columns to the training rows, and recode the levels of all splits."""
        before, train = self.columns, parts["train"].x
        assert isinstance(train, Tensor)
        self.columns = tuple(fit_column(column, train[:, i], self.one_hot_limit) for i, column in enumerate(before))
        recoded = {}
        for name, part in parts.items():
            assert isinstance(part.x, Tensor)
            inputs = map(recode_levels, part.x.unbind(1), before, self.columns)
            recoded[name] = replace(part, x=torch.stack(list(inputs), dim=1))
        return recoded


class Table(Rows):
    """Rows of a table: numbers, parts of dates, and categories as codes.

    Args:
        path: a .csv, .tsv or .parquet file.
        target: the column of the classes; rows without one are dropped.
        ignore: one or several columns that are not used.
        keep: columns that are used without a warning although they look like identifiers, constants or leaks.
        missing: texts that mark a missing value, in addition to an empty cell, `NA`, `null` and the like.
        decimal: the decimal separator of ambiguous numbers, `point` or `comma`; `None` to infer it.
        dayfirst: whether the day precedes the month in ambiguous dates; `None` to infer it.
        test_path: a file of test rows with the same columns; `None` to split `path`.
        shared: arguments of `Rows` and `DataModule`.

    Raises:
        ConfigError: a file cannot be read, a column does not exist, or the target is not a column of classes.
    """

    def __init__(
        self,
        path: str,
        target: str,
        ignore: str | Sequence[str] | None = (),
        keep: str | Sequence[str] | None = (),
        missing: str | Sequence[str] | None = (),
        decimal: str | None = None,
        dayfirst: bool | None = None,
        test_path: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.files = {"path": Path(path).expanduser()}
        if test_path is not None:
            self.files["test_path"] = Path(test_path).expanduser()
        self.target = str(target)
        self.ignore, self.keep, missing = map(as_list, (ignore, keep, missing))
        self.format = CellFormat(tuple(missing), DECIMALS[decimal], dayfirst)

    def read(self) -> dict[str, Examples]:
        """Return the rows, float32 `[N, F]`; categories as codes of the levels of the whole training file."""
        tables = {key: self.labelled_rows(key, read_table(file, f"data.{key}")) for key, file in self.files.items()}
        if self.model_spec is None:
            self.learn(tables["path"])
        else:
            self.classes, self.columns = self.model_spec.classes, self.model_spec.columns
        splits = {"path": "train", "test_path": "test"}
        return {splits[key]: self.examples(key, table) for key, table in tables.items()}

    def labelled_rows(self, key: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows that have a class."""
        columns = list(table.columns)
        if self.target not in columns:
            problem = f"data.{key} has no such column{did_you_mean(self.target, columns)}"
            raise config_error("data.target", self.target, problem, join_limited(columns, 30))
        self.check_nested(key)
        missing = label_texts(table[self.target]) == ""
        if missing.all():
            raise config_error(f"data.{key}", self.files[key], f"no row has a {self.target}", "rows with a class")
        if missing.any():
            log.warning("%d of %d rows of data.%s have no %s: left out", missing.sum(), len(table), key, self.target)
            self.report[f"{key}_rows_without_target"] = int(missing.sum())
        return table[~missing]

    def check_nested(self, key: str) -> None:
        """Raise a ConfigError if a column in use contains lists, structs or maps."""
        used = {column.header for column in self.model_spec.columns} | {self.target} if self.model_spec else None
        types = nested_columns(self.files[key])
        found = [name for name in types if (name in used if used is not None else name not in self.ignore)]
        if found:
            described = join_limited((f"{name} ({types[name]})" for name in found), MAX_LISTED)
            accepted = "columns of numbers, text or dates"
            if self.target not in found:
                accepted += f"; to leave out: {format_override('data.ignore', [*self.ignore, *found])}"
            raise config_error(f"data.{key}", self.files[key], f"columns of nested values: {described}", accepted)

    def learn(self, table: "pd.DataFrame") -> None:
        """Find the classes and columns of the training file, and the format of its cells."""
        names = self.feature_names([str(name) for name in table.columns])
        labels = label_texts(table[self.target])
        self.classes = tuple(sorted(set(labels), key=natural_key))
        self.check_classes(table[self.target])
        columns, notes = learn_columns(table[names], self.format, has_semicolons(self.files["path"]))
        values = {name: ColumnValues.of(table[name], inputs) for name, inputs in columns.items()}
        reasons = {name: values[name].exclusion_reason(name) for name in names}
        if all(reason in ("empty", "constant") for reason in reasons.values()):
            problem = f"every column except {self.target} is empty or constant"
            accepted = f"different values in {join_limited(names, MAX_LISTED)}"
            raise config_error("data.path", self.files["path"], problem, accepted)
        excluded = {name: reason for name, reason in reasons.items() if reason and name not in self.keep}
        if len(excluded) == len(columns):
            notes += [f"column {name} is {reason}; there is no other column" for name, reason in excluded.items()]
            excluded = {}
        columns = {name: inputs for name, inputs in columns.items() if name not in excluded}
        codes = np.unique(labels, return_inverse=True)[1]
        leaks = {name: values[name].leak_reason(codes) for name in columns if name not in self.keep}
        self.warn(notes, excluded, {name: reason for name, reason in leaks.items() if reason})
        self.columns = tuple(column for inputs in columns.values() for column in inputs)

    def warn(self, notes: Sequence[str], excluded: Mapping[str, str], leaks: Mapping[str, str]) -> None:
        """Log notes on the columns, with the overrides that change the choice."""
        lines = [*notes, *(f"column {name} {problem}" for name, problem in leaks.items())]
        if leaks:
            lines += [f"  to leave out: {format_override('data.ignore', [*self.ignore, *leaks])}"]
        if excluded:
            reasons = join_limited((f"{name} ({reason})" for name, reason in excluded.items()), MAX_LISTED)
            names = [*self.keep, *excluded] if len(excluded) <= MAX_LISTED else ["NAME"]
            lines += [f"excluded: {reasons}; to include: {format_override('data.keep', names)}"]
        if lines:
            log.warning("%s", "\n".join(lines))

    def feature_names(self, columns: list[str]) -> list[str]:
        """Return the columns except the target and ignored ones, or raise a ConfigError."""
        candidates = [name for name in columns if name != self.target]
        names = [name for name in candidates if name not in self.ignore]
        for key, given, known in (("data.ignore", self.ignore, candidates), ("data.keep", self.keep, names)):
            if unknown := [name for name in given if name not in known]:
                problem = "; ".join(f"unknown feature {name}{did_you_mean(name, known)}" for name in unknown)
                raise config_error(key, join_limited(given), problem, join_limited(known, 30))
        if not names:
            problem = "no column is left to learn from"
            raise config_error(
                "data.path", self.files["path"], problem, f"columns besides {self.target} and data.ignore"
            )
        return names

    def check_classes(self, values: "pd.Series[Any]") -> None:
        """Raise a ConfigError for a target that is constant, a quantity or an identifier."""
        count, rows = len(self.classes), len(values)
        numbers, invalid = read_column(values, [Column(self.target)])
        measured = not invalid.any() and count > MAX_NUMERIC_CLASSES and bool((numbers % 1).any() or count > rows / 5)
        if count < 2 or count > rows / 2 or measured:
            problem = f"it has {count} distinct values in {rows} rows ({join_limited(self.classes, 5)})"
            raise config_error("data.target", self.target, problem, "a column of classes, each in several rows")

    def examples(self, key: str, table: "pd.DataFrame") -> Examples:
        """Return the rows of a file as numbers."""
        columns = {column.header: column for column in self.columns}
        if absent := [header for header in columns if header not in table.columns]:
            accepted = f"a table with {join_limited(columns, 30)}"
            raise config_error(f"data.{key}", self.files[key], f"no column {join_limited(absent)}", accepted)
        x, invalid = read_rows(table, self.columns)
        for header, column in columns.items():
            self.check_cells(key, column, table[header], invalid[header])
        y = self.labels(key, label_texts(table[self.target]))
        return Examples(torch.from_numpy(x).float(), y, torch.tensor(table.index.to_numpy()))

    def check_cells(self, key: str, column: Column, values: "pd.Series[Any]", invalid: NDArray[np.bool_]) -> None:
        """Warn about cells with another format than in training, or raise a ConfigError if there are many."""
        if not invalid.any():
            return
        kind = "dates" if column.part else "numbers"
        examples = join_limited((repr(to_text(value)) for value in values[invalid].unique()), 3)
        if invalid.sum() > (1 - MIN_SHARE) * values.notna().sum():
            problem = f"{column.header} contains text ({examples})"
            raise config_error(f"data.{key}", self.files[key], problem, f"{kind}, as in training")
        count = f"{invalid.sum()} of {len(values)} values of data.{key} are not {kind}"
        log.warning("column %s: %s: %s; read as missing", column.header, count, examples)

    def labels(self, key: str, texts: NDArray[np.object_]) -> Tensor:
        """Return the label of each row, int64 `[N]`; "1.0" is class 1 if there is no class "1.0"."""
        exact = {name: label for label, name in enumerate(self.classes)}
        known = {strip_zeros(name): label for name, label in exact.items()} | exact
        labels = [known.get(text, known.get(strip_zeros(text))) for text in texts]
        if unknown := sorted({text for text, label in zip(texts, labels, strict=True) if label is None}):
            problem = f"classes that training lacks: {join_limited(unknown)}"
            raise config_error(f"data.{key}", self.files[key], problem, join_limited(self.classes))
        return torch.tensor(labels)


def as_list(value: Any) -> list[str]:
    """Return one value or several as a list of texts."""
    return [str(value)] if isinstance(value, str | int | float) else list(map(str, value or ()))


def label_texts(values: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return labels as text without surrounding whitespace, empty if missing."""
    positions, distinct = factorize(values)
    texts: NDArray[np.object_] = np.array([*map(to_text, distinct.astype(object)), ""], dtype=object)[positions]
    return texts


def format_override(key: str, names: Sequence[str]) -> str:
    """Return a list of columns as an override for the command line."""
    if all(re.fullmatch(r"[\w.-]+", name) for name in names):
        return f"{key}=[{','.join(names)}]"
    quoted = ",".join(f'"{name}"' for name in names)
    return f"'{key}=[{quoted}]'"
