"""Sources of rows: the base class, and tables in CSV, TSV and Parquet files."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.tables.column_checks import ColumnValues
from trainyard.data.tables.columns import MIN_SHARE, CellFormat, fit_column, learn_columns, recode_levels
from trainyard.data.tables.reading import has_semicolons, nested_columns, read_rows, to_text
from trainyard.data.tables.table_files import DECIMALS, SPLITS, TableFiles, as_list
from trainyard.io.errors import config_error, did_you_mean, join_limited

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MAX_LISTED = 14  # columns in a message


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
        target: one or several columns that are to be predicted; rows without them are dropped.
        task: what the target contains: `classification`, `regression` or `multilabel`; `auto` to infer it.
        target_transform: `log` to predict the logarithm of numbers, or `none`.
        ignore: one or several columns that are not used.
        keep: columns that are used without a warning although they look like identifiers, constants or leaks.
        missing: texts that mark a missing value, in addition to an empty cell, `NA`, `null` and the like.
        decimal: the decimal separator of ambiguous numbers, `point` or `comma`; `None` to infer it.
        dayfirst: whether the day precedes the month in ambiguous dates; `None` to infer it.
        test_path: a file of test rows with the same columns; `None` to split `path`.
        shared: arguments of `Rows` and `DataModule`.

    Raises:
        ConfigError: a file cannot be read, a column does not exist, or the target does not fit the task.
    """

    def __init__(
        self,
        path: str,
        target: str | Sequence[str],
        task: str = "auto",
        target_transform: str = "none",
        ignore: str | Sequence[str] | None = (),
        keep: str | Sequence[str] | None = (),
        missing: str | Sequence[str] | None = (),
        decimal: str | None = None,
        dayfirst: bool | None = None,
        test_path: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.ignore, self.keep, missing = map(as_list, (ignore, keep, missing))
        self.format = CellFormat(tuple(missing), DECIMALS[decimal], dayfirst)
        self.tables = TableFiles(path, test_path, target, task, target_transform, self.format)
        self.files, self.target_names = self.tables.files, self.tables.target_names

    def read(self) -> dict[str, Examples]:
        """Return the rows, float32 `[N, F]`; categories as codes of the levels of the whole training file."""
        trained = self.model_spec
        tables, self.target, targets = self.tables.read(trained.target if trained else None)
        self.report |= self.tables.left_out
        for key in tables:
            self.check_nested(key)
        if trained:
            self.columns = trained.columns
        else:
            self.learn(tables["path"], targets["path"])
        return {SPLITS[key]: self.examples(key, table, targets[key]) for key, table in tables.items()}

    def check_nested(self, key: str) -> None:
        """Raise a ConfigError if a column in use, except the target, contains lists, structs or maps."""
        types = nested_columns(self.files[key])
        if self.model_spec:
            found = [column.header for column in self.model_spec.columns if column.header in types]
        else:
            found = [name for name in types if name not in (*self.ignore, *self.target_names)]
        if found:
            described = join_limited((f"{name} ({types[name]})" for name in found), MAX_LISTED)
            to_leave_out = format_override("data.ignore", [*self.ignore, *found])
            accepted = f"columns of numbers, text or dates; to leave out: {to_leave_out}"
            raise config_error(f"data.{key}", self.files[key], f"columns of nested values: {described}", accepted)

    def learn(self, table: "pd.DataFrame", targets: Tensor) -> None:
        """Find the columns of the training file that help to predict the targets, and the format of their cells."""
        names = self.feature_names([str(name) for name in table.columns])
        columns, notes = learn_columns(table[names], self.format, has_semicolons(self.files["path"]))
        values = {name: ColumnValues.of(table[name], inputs) for name, inputs in columns.items()}
        reasons = {name: values[name].exclusion_reason(name) for name in names}
        if all(reason in ("empty", "constant") for reason in reasons.values()):
            problem = f"every column except {join_limited(self.target_names)} is empty or constant"
            accepted = f"different values in {join_limited(names, MAX_LISTED)}"
            raise config_error("data.path", self.files["path"], problem, accepted)
        excluded = {name: reason for name, reason in reasons.items() if reason and name not in self.keep}
        if len(excluded) == len(columns):
            notes += [f"column {name} is {reason}; there is no other column" for name, reason in excluded.items()]
            excluded = {}
        columns = {name: inputs for name, inputs in columns.items() if name not in excluded}
        numbers = targets.double().numpy()
        leaks = {name: values[name].leak_reason(self.target, numbers) for name in columns if name not in self.keep}
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
        candidates = [name for name in columns if name not in self.target_names]
        names = [name for name in candidates if name not in self.ignore]
        for key, given, known in (("data.ignore", self.ignore, candidates), ("data.keep", self.keep, names)):
            if unknown := [name for name in given if name not in known]:
                problem = "; ".join(f"unknown feature {name}{did_you_mean(name, known)}" for name in unknown)
                raise config_error(key, join_limited(given), problem, join_limited(known, 30))
        if not names:
            problem = "no column is left to learn from"
            raise config_error(
                "data.path",
                self.files["path"],
                problem,
                f"columns besides {join_limited(self.target_names)} and data.ignore",
            )
        return names

    def examples(self, key: str, table: "pd.DataFrame", targets: Tensor) -> Examples:
        """Return the rows of a file as numbers, with their targets."""
        columns = {column.header: column for column in self.columns}
        if absent := [header for header in columns if header not in table.columns]:
            accepted = f"a table with {join_limited(columns, 30)}"
            raise config_error(f"data.{key}", self.files[key], f"no column {join_limited(absent)}", accepted)
        x, invalid = read_rows(table, self.columns)
        for header, column in columns.items():
            self.check_cells(key, column, table[header], invalid[header])
        return Examples(torch.from_numpy(x).float(), targets, torch.tensor(table.index.to_numpy()))

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


def format_override(key: str, names: Sequence[str]) -> str:
    """Return a list of columns as an override for the command line."""
    if all(re.fullmatch(r"[\w.-]+", name) for name in names):
        return f"{key}=[{','.join(names)}]"
    quoted = ",".join(f'"{name}"' for name in names)
    return f"'{key}=[{quoted}]'"
