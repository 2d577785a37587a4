"""Anyone's table: a CSV, TSV or Parquet file with a column of classes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.cells import factorize, read_numbers, read_rows, text_of, whole
from trainyard.data.find_files import natural
from trainyard.data.rows import Rows
from trainyard.data.spec import Column, Examples
from trainyard.data.suspicious_columns import ReadColumn, leak, typed, uninformative
from trainyard.data.table_columns import SHARE, Conventions, learn_columns
from trainyard.data.table_file import has_semicolons, nested_columns, read_table
from trainyard.errors import did_you_mean, listing, reject

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FEW = 20  # numbers that may be classes, whatever they are
MOST = 14  # excluded columns that are named
DECIMALS = {None: None, "point": ".", "comma": ","}


class Table(Rows):
    """Rows of a table: numbers, parts of dates, and categories as codes, read as the training file is read.

    Args:
        path: a .csv, .tsv or .parquet file.
        target: the column of the classes; rows without one are left out.
        ignore: columns that are not used; one name or several.
        keep: columns that are used although they look like identifiers or never change, and that are known to be no
            leaks.
        missing: texts that mark a missing value, beside an empty cell, `NA`, `null` and the like.
        decimal: the decimal separator where it cannot be found out, `point` or `comma`; `None` to choose.
        dayfirst: whether the day comes before the month in dates of which both readings are possible; `None` to choose.
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
        self.ignore, self.keep, missing = map(words, (ignore, keep, missing))
        self.conventions = Conventions(tuple(missing), DECIMALS[decimal], dayfirst)

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
        """Find out which classes and columns a table has, and how its cells are read."""
        names = self.features([str(name) for name in table.columns])
        labels = label_texts(table[self.target])
        self.classes = tuple(sorted(set(labels), key=natural))
        self.check_classes(table[self.target])
        columns, notes = learn_columns(table[names], self.conventions, has_semicolons(self.files["path"]))
        read = {name: ReadColumn.of(table[name], inputs) for name, inputs in columns.items()}
        excluded = {name: why for name in names if name not in self.keep and (why := uninformative(name, read[name]))}
        if all(uninformative(name, read[name]) in ("empty", "constant") for name in names):
            problem = f"every column except {self.target} is empty or constant"
            raise reject("data.path", self.files["path"], problem, f"different values in {listing(names, MOST)}")
        if len(excluded) == len(columns):
            notes += [f"column {name} is {why}; there is no other column" for name, why in excluded.items()]
            excluded = {}
        columns = {name: inputs for name, inputs in columns.items() if name not in excluded}
        classes = np.unique(labels, return_inverse=True)[1]
        leaks = {name: what for name in columns if name not in self.keep and (what := leak(read[name], classes))}
        self.warn(notes, excluded, leaks)
        self.columns = tuple(column for inputs in columns.values() for column in inputs)

    def warn(self, notes: Sequence[str], excluded: Mapping[str, str], leaks: Mapping[str, str]) -> None:
        """Log what a person should know of the columns, and what to type for another choice."""
        lines = list(notes)
        if leaks:
            lines += [f"column {name} {problem}" for name, problem in leaks.items()]
            lines += [f"  to leave out: {typed('data.ignore', [*self.ignore, *leaks])}"]
        if excluded:
            reasons = listing((f"{name} ({why})" for name, why in excluded.items()), MOST)
            names = [*self.keep, *excluded] if len(excluded) <= MOST else ["NAME"]
            lines += [f"excluded: {reasons}; to include: {typed('data.keep', names)}"]
        if lines:
            log.warning("%s", "\n".join(lines))

    def features(self, columns: list[str]) -> list[str]:
        """Return the columns that are learned from, or raise a ConfigError for `ignore` that does not fit them."""
        known = [name for name in columns if name != self.target]
        if self.target in self.ignore:
            raise reject("data.ignore", listing(self.ignore), f"{self.target} is the target", listing(known, 30))
        strange = [f"no column {name}{did_you_mean(name, known)}" for name in self.ignore if name not in known]
        if strange:
            raise reject("data.ignore", listing(self.ignore), "; ".join(strange), listing(known, 30))
        names = [name for name in known if name not in self.ignore]
        unknown = [f"no column {name}{did_you_mean(name, names)}" for name in self.keep if name not in names]
        if unknown:
            raise reject("data.keep", listing(self.keep), "; ".join(unknown), listing(names, 30))
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
        self.check_nested(key, columns)
        texts = label_texts(table[self.target])
        missing = np.array([not text for text in texts], bool)
        if missing.all():
            raise reject(f"data.{key}", self.files[key], f"no row has a {self.target}", "rows of known classes")
        if missing.any():
            log.warning("%d of %d rows of data.%s have no %s: left out", missing.sum(), len(table), key, self.target)
            self.report[f"{key}_rows_without_target"] = int(missing.sum())
        return table[~missing]

    def check_nested(self, key: str, names: Sequence[str]) -> None:
        """Raise a ConfigError for a column of lists, structs or maps, unless it is ignored."""
        used = {column.header for column in self.known.columns} if self.known else {*names} - {*self.ignore}
        nested = nested_columns(self.files[key])
        if found := [name for name in names if name in nested and name in {*used, self.target}]:
            types = listing((f"{name} ({nested[name]})" for name in found), MOST)
            accepted = "columns of numbers, texts or dates"
            if self.target not in found:
                accepted += f"; to leave out: {typed('data.ignore', [*self.ignore, *found])}"
            raise reject(f"data.{key}", self.files[key], f"columns of nested values: {types}", accepted)

    def check_classes(self, values: "pd.Series[Any]") -> None:
        """Raise a ConfigError for a target that is constant, or a quantity or an identifier instead of a class."""
        count, rows = len(self.classes), len(values)
        numbers, wrong = read_numbers(factorize(values)[1], Column(self.target, decimal="."))
        measured = not wrong.any() and count > FEW and bool((numbers % 1).any() or count > rows / 5)
        if count < 2 or count > rows / 2 or measured:
            problem = f"it has {count} distinct values in {rows} rows ({listing(self.classes, 5)})"
            raise reject("data.target", self.target, problem, "a column of classes, each in several rows")

    def examples(self, key: str, table: "pd.DataFrame") -> Examples:
        """Return the rows of a file as numbers."""
        lacking = list(dict.fromkeys(column.header for column in self.columns if column.header not in table.columns))
        if lacking:
            accepted = f"a table with {listing(dict.fromkeys(column.header for column in self.columns), 30)}"
            raise reject(f"data.{key}", self.files[key], f"no column {listing(lacking)}", accepted)
        x, wrong = read_rows(table, self.columns, has_semicolons(self.files[key]))
        for column in {column.header: column for column in self.columns}.values():
            self.check_cells(key, column, table[column.header], wrong[column.header])
        y = self.labels(key, label_texts(table[self.target]))
        return Examples(torch.from_numpy(x).float(), y, torch.tensor(table.index.to_numpy()))

    def check_cells(self, key: str, column: Column, values: "pd.Series[Any]", wrong: NDArray[np.bool_]) -> None:
        """Warn of cells that training would not have read, or raise a ConfigError if they are many."""
        if not wrong.any():
            return
        what = "dates" if column.part else "numbers"
        shown = listing((repr(text_of(value)) for value in values[wrong].unique()), 3)
        if wrong.sum() > (1 - SHARE) * values.notna().sum():
            problem = f"{column.header} holds text ({shown})"
            raise reject(f"data.{key}", self.files[key], problem, f"{what}, as in training")
        count = f"{wrong.sum()} of {len(values)} values of data.{key} are not {what}"
        log.warning("column %s: %s: %s; read as missing", column.header, count, shown)

    def labels(self, key: str, texts: NDArray[np.object_]) -> torch.Tensor:
        """Return the class of each row, int64 `[N]`; "1.0" is class 1 where no class is called so."""
        place = {name: number for number, name in reversed(list(enumerate(self.classes)))}
        numbers = {whole(name): number for name, number in place.items()} | place
        strange = sorted({text for text in texts if text not in numbers and whole(text) not in numbers})
        if strange:
            problem = f"classes that training lacks: {listing(strange)}"
            raise reject(f"data.{key}", self.files[key], problem, listing(self.classes))
        return torch.tensor([numbers.get(text, numbers.get(whole(text), -1)) for text in texts])


def words(value: str | Sequence[str] | None) -> list[str]:
    """Return one text or several as a list; numbers become text."""
    return [str(value)] if isinstance(value, str | int | float) else [str(word) for word in value or ()]


def label_texts(values: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return labels as text without surrounding whitespace, nothing where there is none."""
    place, distinct = factorize(values)
    texts: NDArray[np.object_] = np.array([*map(text_of, distinct.astype(object)), ""], dtype=object)[place]
    return texts
