"""Columns that a person would not want to learn from, found before training."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.cells import read_column
from trainyard.data.spec import Column

if TYPE_CHECKING:
    import pandas as pd

CHANCE = 1e-6  # that a column says nothing of the class, and yet each of its values belongs to one


@dataclass(frozen=True)
class ReadColumn:
    """A column of the training file: whether it is a category or dates, its values `[N]`, and which rows have one."""

    category: bool
    dates: bool
    values: NDArray[np.float64]
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, column: "pd.Series[Any]", inputs: Sequence[Column]) -> "ReadColumn":
        """Read a column; dates as days and hours together."""
        values, _ = read_column(column, inputs)
        first = values[:, 0]
        if inputs[0].part:
            place = np.unique(values, axis=0, return_inverse=True)[1].ravel()
            return cls(False, True, place.astype(np.float64), ~np.isnan(first))
        return cls(bool(inputs[0].levels), False, first, first > 0 if inputs[0].levels else ~np.isnan(first))


def uninformative(name: str, column: ReadColumn) -> str:
    """Return why a column has nothing to teach about new rows, if it has one value or is an identifier."""
    known = column.values[column.present]
    distinct = len(np.unique(known))
    if distinct + (len(known) < len(column.values)) <= 1:  # of one value, the rows that miss it may tell something
        return "constant" if len(known) else "empty"
    if column.dates:  # other dates have the same weekdays and months
        return ""
    identifier = distinct > len(known) / 2 if column.category else counts_rows(name, known)
    return f"an identifier: {distinct} values in {len(known)} rows" if identifier else ""


def leak(column: ReadColumn, classes: NDArray[np.int64]) -> str:
    """Return what is to be said of a column whose every value belongs to one class.

    Args:
        column: of the training file.
        classes: of each row, `[N]`, from 0.
    """
    present, absent = column.present, np.unique(classes[~column.present])
    distinct, place = np.unique(column.values[present], return_inverse=True)
    pairs = np.unique(np.stack([place, classes[present]]), axis=1)
    if column.dates or pairs.shape[1] > len(distinct):
        return ""
    known = len(np.unique(pairs[1]))
    if len(distinct) == known == classes.max() + 1:
        return "is a copy of the target: each value means one class"
    agreeing = int(present.sum()) - len(distinct) + (int((~present).sum()) - 1 if len(absent) == 1 else 0)
    by_chance = agreement(classes) ** agreeing > CHANCE or not (known > 1 or len(absent) == 1)
    if by_chance or not (column.category or are_codes(column.values[present])):
        return ""
    return f"is probably a leak: each of its {len(distinct)} values belongs to one class"


def are_codes(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are whole and few, as the codes of categories are; measurements may well tell classes apart."""
    return not (numbers % 1).any() and len(numbers) >= 5 * len(np.unique(numbers))


def agreement(classes: NDArray[np.int64]) -> float:
    """Return the probability that two rows are of the same class."""
    return float(np.square(np.bincount(classes) / len(classes)).sum())


def counts_rows(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are whole, each its own, and count the rows: in order, without a gap, or called an id."""
    if (numbers % 1).any() or len(np.unique(numbers)) < len(numbers):
        return False
    in_order, gapless = (np.diff(numbers) > 0).all(), np.ptp(numbers) < len(numbers)
    return bool(in_order or gapless or re.search(r"(\b|_)id$|I[dD]$", name))


def typed(key: str, names: Sequence[str]) -> str:
    """Return how a list of columns is typed on the command line."""
    if all(re.fullmatch(r"[\w.-]+", name) for name in names):
        return f"{key}=[{','.join(names)}]"
    quoted = ",".join(f'"{name}"' for name in names)
    return f"'{key}=[{quoted}]'"
