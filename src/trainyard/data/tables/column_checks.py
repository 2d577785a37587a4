"""Finds columns of a table that do not help on new rows: identifiers, constant columns and leaks of the target."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainyard.data.loading.spec import Column
from trainyard.data.loading.target import Classes, Numbers, Target
from trainyard.data.tables.reading import read_column

if TYPE_CHECKING:
    import pandas as pd

LEAK_CHANCE = 1e-6  # accepted probability that an unrelated column looks like a leak
COPY_CORRELATION = 0.99999  # with a copy of the target in other units, which may be rounded
MIN_LEAK_VALUES = 10  # distinct numbers; fewer may be in the order of the target by chance


@dataclass(frozen=True)
class ColumnValues:
    """The values `[N]` of a column of the training file, to decide whether it helps to predict the target."""

    values: NDArray[np.float64]  # numbers, codes of levels, or a code for each date
    present: NDArray[np.bool_]  # which are not missing
    categorical: bool
    dates: bool

    @classmethod
    def of(cls, column: "pd.Series[Any]", inputs: Sequence[Column]) -> "ColumnValues":
        """Read a column; each distinct date becomes one number."""
        values, _ = read_column(column, inputs)
        first, categorical = values[:, 0], bool(inputs[0].levels)
        if inputs[0].part:
            codes = np.unique(values, axis=0, return_inverse=True)[1].ravel()
            return cls(codes.astype(np.float64), ~np.isnan(first), False, True)
        return cls(first, first > 0 if categorical else ~np.isnan(first), categorical, False)

    def exclusion_reason(self, name: str) -> str:
        """Return why the column cannot help on new rows: it is empty, constant or an identifier; else nothing."""
        known = self.values[self.present]
        distinct = len(np.unique(known))
        if distinct + (len(known) < len(self.values)) <= 1:  # beside a single value, missing cells are informative
            return "constant" if len(known) else "empty"
        if self.dates:  # new dates have known weekdays and months
            return ""
        identifier = distinct > len(known) / 2 if self.categorical else is_identifier(name, known)
        return f"an identifier: {distinct} values in {len(known)} rows" if identifier else ""

    def leak_reason(self, target: Target, values: NDArray[Any]) -> str:
        """Return a note if the column reveals the target, whose values are `[N]` or `[N, T]`; empty otherwise."""
        if self.dates:
            return ""
        if isinstance(target, Classes):
            return self.class_leak(values.astype(np.int64))
        find = self.number_leak if isinstance(target, Numbers) else self.label_leak
        reasons = (find(part, name) for part, name in zip(values.T, target.names, strict=True))
        return next(filter(None, reasons), "")

    def class_leak(self, classes: NDArray[np.int64]) -> str:
        """Return a note if each value of the column occurs with one class only; `classes` are the labels `[N]`."""
        missing_reveals_class = len(np.unique(classes[~self.present])) == 1
        compared = self.present | missing_reveals_class  # a missing value then counts as one more value
        distinct, codes = np.unique(self.values[compared], return_inverse=True)
        pairs = np.unique(np.stack([codes, classes[compared]]), axis=1)
        if pairs.shape[1] > len(distinct):
            return ""
        known = self.values[self.present]
        count = len(np.unique(known))
        if count == len(np.unique(classes[self.present])) == classes.max() + 1:
            return "is a copy of the target: each value means one class"
        # The values of an unrelated column would be repeated in rows of the same class only by chance.
        same_class = float(np.square(np.bincount(classes) / len(classes)).sum())  # probability for two rows
        repetitions = int(compared.sum()) - len(distinct)
        by_chance = same_class**repetitions > LEAK_CHANCE or len(np.unique(pairs[1])) == 1
        # Measurements may well separate the classes: numbers must be whole and repeated, as codes are.
        is_coded = self.categorical or (not (known % 1).any() and len(known) >= 5 * count)
        if by_chance or not is_coded:
            return ""
        return f"is probably a leak: each of its {count} values belongs to one class"

    def label_leak(self, label: NDArray[np.float64], name: str) -> str:
        """Return a note if each value of the column occurs only with or only without a label."""
        reason = self.class_leak(label.astype(np.int64)) if 0 < label.mean() < 1 else ""
        return reason and f"{reason} (label {name})"

    def number_leak(self, numbers: NDArray[np.float64], name: str) -> str:
        """Return a note if the column determines a number: it is a copy, has its order, or repeats it."""
        known, targets = self.values[self.present], numbers[self.present]
        distinct, variety = len(np.unique(known)), len(np.unique(targets))
        if min(distinct, variety) >= MIN_LEAK_VALUES and not self.categorical:
            correlation = float(np.corrcoef(known, targets)[0, 1])
            if abs(correlation) > COPY_CORRELATION:
                return f"is a copy of the target {name}, perhaps in other units: correlation {correlation:.5f}"
            steps = np.diff(targets[np.lexsort((targets, known))])
            same_order = (steps >= 0).all() or (np.diff(targets[np.lexsort((-targets, known))]) <= 0).all()
            if same_order and distinct == variety:
                return f"is probably a leak: it has the order of the target {name}"
        if distinct == len(known):  # without repetitions, each value trivially occurs with one number
            return ""
        reason = self.class_leak(np.unique(numbers, return_inverse=True)[1].ravel().astype(np.int64))
        return reason.replace("belongs to one class", f"occurs with one {name}").replace("one class", f"one {name}")


def is_identifier(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether distinct whole numbers count the rows: they are sorted, without gaps, or the column is called an id."""
    if (numbers % 1).any() or len(np.unique(numbers)) < len(numbers):
        return False
    in_order, gapless = (np.diff(numbers) > 0).all(), np.ptp(numbers) < len(numbers)
    return bool(in_order or gapless or re.search(r"(\b|_)id$|I[dD]$", name))
