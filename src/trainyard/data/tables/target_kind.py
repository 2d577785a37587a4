"""Infers from the target columns of a table whether they are classes, numbers or labels."""

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainyard.data.tables.columns import MIN_SHARE, CellFormat, DistinctCells, infer_decimal, is_code
from trainyard.data.tables.reading import parse_numbers, typed_numbers
from trainyard.io.errors import config_error

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = {"whole numbers": 20, "numbers with fractions": 10}  # more distinct numbers are a quantity
SEPARATORS = (";", "|")  # of labels in a cell
INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
BRACKETS = re.compile(r"\s*\[.*\]\s*", re.DOTALL)


class InferredKind(NamedTuple):
    """The kind of task that fits target columns, the reason, and the other kind that the user may want."""

    kind: str
    reason: str
    other: str

    def __str__(self) -> str:
        change = f"; to change: task={self.other}" if self.other else ""
        return f"{self.kind}: {self.reason}{change}"


def infer_kind(columns: "pd.DataFrame", given: CellFormat) -> InferredKind:
    """Return the kind of task that fits the target columns of a table."""
    if len(columns.columns) > 1:
        return infer_kind_of_several(columns, given)
    [name] = columns.columns
    if contains_lists(columns[name]):
        return InferredKind("multilabel", f"{name} contains lists", "classification")
    cells = DistinctCells.of(columns[name], given.missing)
    numbers = distinct_numbers(cells, given)
    if not cells.total or cells.share(~np.isnan(numbers)) < MIN_SHARE or is_code(cells):
        if separator := recurring_separator(cells):
            return InferredKind("multilabel", f"{name} has labels separated by '{separator}'", "classification")
        return InferredKind("classification", f"{name} contains text", "multilabel")
    known = np.unique(numbers[~np.isnan(numbers)])
    type_of_numbers = "numbers with fractions" if (known[np.isfinite(known)] % 1).any() else "whole numbers"
    reason = f"{name} has {len(known)} distinct {type_of_numbers}"
    infinite = cells.texts.str.fullmatch(INFINITY).any()  # not a class: the target is rejected with its rows
    if not infinite and len(known) <= min(MAX_CLASSES[type_of_numbers], cells.total / 2):
        return InferredKind("classification", reason, "regression")
    return InferredKind("regression", reason, "classification")


def infer_kind_of_several(columns: "pd.DataFrame", given: CellFormat) -> InferredKind:
    """Return `multilabel` for columns of 0 and 1, and `regression` for columns of other numbers."""
    names = [str(name) for name in columns.columns]
    distinct: set[float] = set()
    for name in names:
        cells = DistinctCells.of(columns[name], given.missing)
        numbers = distinct_numbers(cells, given)
        if cells.total and cells.share(~np.isnan(numbers)) < MIN_SHARE:
            content = "lists" if contains_lists(columns[name]) else "text"
            accepted = "one column, or several columns of numbers"
            raise config_error("data.target", f"[{','.join(names)}]", f"{name} contains {content}", accepted)
        distinct |= set(numbers[~np.isnan(numbers)].tolist())
    if distinct <= {0.0, 1.0}:
        return InferredKind("multilabel", f"{len(names)} target columns of 0 and 1", "regression")
    return InferredKind("regression", f"{len(names)} target columns of numbers", "")


def distinct_numbers(cells: DistinctCells, given: CellFormat) -> NDArray[np.float64]:
    """Return distinct cells as numbers, NaN for others."""
    numbers = typed_numbers(cells.values)
    decimal = given.decimal or infer_decimal(cells) or "."
    return parse_numbers(cells.texts, decimal, strict=False) if numbers is None else numbers


def contains_lists(values: "pd.Series[Any]") -> bool:
    """Whether all cells are lists, or texts in square brackets."""
    known = values.dropna()
    return bool(len(known)) and all(map(is_list, known))


def is_list(cell: object) -> bool:
    """Return whether a cell is a list, or a string in square brackets."""
    if isinstance(cell, str):
        return bool(BRACKETS.fullmatch(cell))
    return isinstance(cell, list | tuple | set | np.ndarray)


def recurring_separator(cells: DistinctCells) -> str:
    """Return the separator of labels that occur in several combinations; empty if there is none.

    A class may contain such a sign, too, but then its parts hardly occur in other classes.
    """
    for separator in SEPARATORS:
        distinct = [{part.strip() for part in text.split(separator)} for text in cells.texts]
        counts = Counter(part for parts in distinct for part in parts)
        combined = {part for parts in distinct if len(parts) > 1 for part in parts}
        if combined and sum(counts[part] > 1 for part in combined) >= len(combined) / 2:
            return separator
    return ""
