"""Reads the target columns of tables as classes or numbers."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.spec import Column
from trainyard.data.loading.target import Classes, Numbers, Target
from trainyard.data.tables.column_checks import is_identifier
from trainyard.data.tables.columns import MIN_SHARE, CellFormat, DistinctCells, infer_decimal
from trainyard.data.tables.reading import (
    factorize,
    has_semicolons,
    read_numbers,
    strip_zeros,
    to_text,
)
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.files import natural_key

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

LARGEST_NUMBER = 1e16  # so that float32 can represent sums of squares
MAX_ROUNDING = 0.01  # standard deviations


@dataclass(frozen=True)
class TargetColumns(ABC):
    """The target columns of a training file and, optionally, of a test file.

    Attributes:
        names: of the columns.
        files: by config key, `path` and `test_path`.
        format: of the cells.
        transform: of numbers, see `Numbers`.
        decimals: the separators of columns of numbers in the training file; empty to infer them from each file.
    """

    names: Sequence[str]
    files: Mapping[str, Path]
    format: CellFormat
    transform: str = "none"
    decimals: Sequence[str] = ()

    noun: ClassVar[str]

    @abstractmethod
    def complete(self, key: str, table: "pd.DataFrame") -> NDArray[np.bool_]:
        """Return which rows of a file have a target, `[N]`."""

    @abstractmethod
    def learn(self, table: "pd.DataFrame") -> Target:
        """Return the target of the training file, or raise a ConfigError if it cannot be learned."""

    @abstractmethod
    def read(self, key: str, table: "pd.DataFrame", target: Target) -> Tensor:
        """Return the targets of the rows of a file, `[N]` or `[N, T]`."""

    def rows_with_target(self, key: str, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rows of a file that have a target, and log the number of the others."""
        complete = self.complete(key, table)
        names = join_limited(self.names)
        if not complete.any():
            raise config_error(f"data.{key}", self.files[key], f"no row has a {names}", f"rows with {self.noun}")
        if not complete.all():
            log.warning("%d of %d rows of data.%s have no %s: left out", (~complete).sum(), len(table), key, names)
        return table[complete]

    def check_known(self, key: str, found: Iterable[str], target: Target) -> None:
        """Raise a ConfigError if classes or labels of a file are not those of the training file."""
        if unknown := sorted({*found} - {*target.names}):
            problem = f"{target.nouns} that training lacks: {join_limited(unknown)}"
            raise config_error(f"data.{key}", self.files[key], problem, join_limited(target.names))

    def invalid(self, problem: str, accepted: str) -> ConfigError:
        """Return an error about the values of the target."""
        text = self.names[0] if len(self.names) == 1 else f"[{','.join(self.names)}]"
        return config_error("data.target", text, problem, accepted)


class ClassColumn(TargetColumns):
    """A column of classes."""

    noun = "a class"

    def complete(self, key: str, table: "pd.DataFrame") -> NDArray[np.bool_]:
        """Return which rows have a class."""
        if len(self.names) > 1:
            raise self.invalid("classes are in one column", "one column, or task=regression or task=multilabel")
        return np.asarray(class_texts(table[self.names[0]]) != "")

    def learn(self, table: "pd.DataFrame") -> Target:
        """Return the classes in natural order."""
        names = sorted(set(class_texts(table[self.names[0]])), key=natural_key)
        if len(names) < 2 or len(names) > len(table) / 2:
            problem = describe_distinct("values", names, len(table))
            raise self.invalid(problem, "a column of classes, each in several rows")
        return Classes(tuple(names))

    def read(self, key: str, table: "pd.DataFrame", target: Target) -> Tensor:
        """Return the label of each row, int64 `[N]`; "1.0" is class 1 if there is no class "1.0"."""
        exact = {name: label for label, name in enumerate(target.names)}
        known = {strip_zeros(name): label for name, label in exact.items()} | exact
        texts = class_texts(table[self.names[0]])
        labels = [known.get(text, known.get(strip_zeros(text))) for text in texts]
        self.check_known(key, (text for text, label in zip(texts, labels, strict=True) if label is None), target)
        return torch.tensor(labels)


class NumberColumns(TargetColumns):
    """One or several columns of numbers."""

    noun = "numbers"

    def numbers(self, key: str, table: "pd.DataFrame") -> NDArray[np.float64]:
        """Return the numbers `[N, T]`, NaN if missing, or raise a ConfigError for text and infinite numbers."""
        return np.stack([self.read_column(key, name, table[name]) for name in self.names], axis=1)

    def read_column(self, key: str, name: str, values: "pd.Series[Any]") -> NDArray[np.float64]:
        """Return the numbers of one column, see `numbers`."""
        known = dict(zip(self.names, self.decimals, strict=False))
        decimal = known.get(name) or decimal_separator(values, self.format, self.files[key])
        column = Column(name, decimal=decimal, missing=self.format.missing)
        positions, distinct = factorize(values)
        read, not_numbers = read_numbers(distinct, column)
        numbers, invalid = np.append(read, np.nan)[positions], np.append(not_numbers, False)[positions]
        if invalid.any():
            examples = join_limited((repr(to_text(value)) for value in distinct[not_numbers]), 3)
            if invalid.sum() > (1 - MIN_SHARE) * len(values):
                accepted = f"numbers, or {'task=classification' if len(self.names) == 1 else 'other columns'}"
                raise self.invalid(f"{name} contains text in data.{key} ({examples})", accepted)
            log.warning("target %s: %d of %d values are not numbers: %s", name, invalid.sum(), len(values), examples)
        if (infinite := np.abs(numbers) > LARGEST_NUMBER).any():
            rows = join_limited((row + 1 for row in values.index[infinite]), 5)
            accepted = f"finite numbers up to {LARGEST_NUMBER:g}"
            raise self.invalid(f"{name} is infinite or too large in data.{key}, row {rows}", accepted)
        return numbers

    def complete(self, key: str, table: "pd.DataFrame") -> NDArray[np.bool_]:
        """Return which rows have all numbers."""
        return np.asarray(~np.isnan(self.numbers(key, table)).any(axis=1))

    def learn(self, table: "pd.DataFrame") -> Target:
        """Return the names and the transformation of the numbers."""
        for name, numbers in zip(self.names, self.numbers("path", table).T, strict=True):
            distinct = np.unique(numbers)
            if len(distinct) < 2:
                column = name if len(self.names) > 1 else "it"
                problem = describe_distinct("values", list(map(to_text, distinct)), len(table), column)
                raise self.invalid(problem, "numbers that vary")
            rounding = float(np.abs(numbers - numbers.astype(np.float32)).max())
            if self.transform == "none" and rounding > MAX_ROUNDING * numbers.std():
                text = "target %s: float32 rounds its numbers by up to %.2g; subtract a constant, such as %.7g"
                log.warning(text, name, rounding, np.median(numbers))
            if is_identifier(name, numbers):
                log.warning("target %s looks like an identifier: %d values in %d rows", name, *[len(numbers)] * 2)
        decimals = () if set(self.decimals) <= {"."} else tuple(self.decimals)
        return Numbers(tuple(self.names), transform=self.transform, decimals=decimals)

    def read(self, key: str, table: "pd.DataFrame", target: Target) -> Tensor:
        """Return the numbers, float32 `[N, T]`; with the transformation `log`, they are above 0."""
        numbers = self.numbers(key, table)
        low = numbers <= 0
        if self.transform == "log" and low.any():
            name = self.names[int(low.any(axis=0).argmax())]
            rows = f"{low.any(axis=1).sum()} of {len(low)} rows of data.{key}, such as {numbers[low].min():g}"
            problem = f"{name} is 0 or less in {rows}"
            raise config_error("data.target_transform", "log", problem, "none, or a target above 0")
        return torch.from_numpy(numbers).float()


def decimal_separator(values: "pd.Series[Any]", given: CellFormat, file: Path) -> str:
    """Return the decimal separator of a column of numbers: the given one, or that of its cells or of its file."""
    found = given.decimal or infer_decimal(DistinctCells.of(values, given.missing))
    return found or ("," if has_semicolons(file) else ".")


def class_texts(values: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return classes as text without surrounding whitespace, empty if missing."""
    positions, distinct = factorize(values)
    texts: NDArray[np.object_] = np.array([*map(to_text, distinct.astype(object)), ""], dtype=object)[positions]
    return texts


def describe_distinct(noun: str, values: Sequence[str], rows: int, column: str = "it") -> str:
    """Return the number of distinct values or labels, and the first ones."""
    noun = noun if len(values) != 1 else noun.removesuffix("s")
    return f"{column} has {len(values)} distinct {noun} in {rows} rows ({join_limited(values, 5)})"
