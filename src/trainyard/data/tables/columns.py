"""Infers the format of a table's columns from the training file."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.spec import Column
from trainyard.data.tables.dates import find_format, parse_dates, varying_parts
from trainyard.data.tables.reading import cell_texts, factorize, parse_numbers, strip_zeros, typed_numbers
from trainyard.io.errors import join_limited
from trainyard.io.files import natural_key

if TYPE_CHECKING:
    import pandas as pd

MIN_SHARE = 0.95  # of the non-missing cells must be numbers or dates; the others are then exceptions
QUANTILES = 33  # of a numeric column, including minimum and maximum: the edges of 32 bins


@dataclass(frozen=True)
class CellFormat:
    """The given format of the cells of a table."""

    missing: tuple[str, ...] = ()  # texts that mark a missing value
    decimal: str | None = None  # separator, `.` or `,`; `None` to infer it
    dayfirst: bool | None = None  # if both orders are possible; `None` for the month first, except with points


@dataclass(frozen=True)
class DistinctCells:
    """The distinct non-missing cells of a column, as values and as text, and the number of cells with each."""

    values: "pd.Series[Any]"
    texts: "pd.Series[Any]"
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, column: "pd.Series[Any]", missing: tuple[str, ...]) -> "DistinctCells":
        """Return the distinct cells of a column; texts of `missing` mark missing values."""
        positions, distinct = factorize(column)
        texts = cell_texts(distinct, missing)
        present = texts.notna().to_numpy(bool)
        counts = np.bincount(positions[positions >= 0], minlength=len(distinct))
        return cls(distinct[present].reset_index(drop=True), texts[present].reset_index(drop=True), counts[present])

    @property
    def total(self) -> int:
        """The number of non-missing cells."""
        return int(self.counts.sum())

    @property
    def levels(self) -> tuple[str, ...]:
        """The texts in natural order, whole numbers without decimals."""
        return tuple(sorted({strip_zeros(text) for text in self.texts}, key=natural_key))

    def share(self, selected: NDArray[np.bool_]) -> float:
        """Return the share of the column's cells that have one of the selected distinct values."""
        return float(self.counts[selected].sum() / self.total)


def learn_columns(
    table: "pd.DataFrame", given: CellFormat, semicolons: bool
) -> tuple[dict[str, list[Column]], list[str]]:
    """Return the inputs made from each column of the training file, by its header, and notes for the user.

    A column whose numbers are ambiguous, such as `1,234`, has the decimal separator of most other columns.
    """
    cells = {str(name): DistinctCells.of(table[name], given.missing) for name in table.columns}
    decimals = {name: given.decimal or infer_decimal(column) for name, column in cells.items()}
    most_common = Counter(filter(None, decimals.values())).most_common(1)
    usual = most_common[0][0] if most_common else ""
    columns: dict[str, list[Column]] = {}
    notes = []
    for name, column in cells.items():
        commas = bool(column.texts.str.contains(",", regex=False).any())
        known = decimals[name] or usual
        decimal = known or ("," if commas and semicolons else ".")
        columns[name], note = learn_column(name, column, replace(given, decimal=decimal))
        numeric = not (columns[name][0].levels or columns[name][0].part)
        if commas and numeric and not known:
            meaning, choice = ("decimals", "point") if decimal == "," else ("thousands", "comma")
            notes.append(f"column {name}: commas are read as separators of {meaning}; to change: data.decimal={choice}")
        notes += [f"column {name}: {note}"] if note else []
    return columns, notes


def infer_decimal(cells: DistinctCells) -> str:
    """Return the decimal separator with which more cells are numbers; empty if both give as many."""
    if typed_numbers(cells.values) is not None or not cells.texts.str.contains(r"[.,]").any():
        return ""
    point, comma = (cells.share(~np.isnan(parse_numbers(cells.texts, decimal))) for decimal in ".,")
    return "" if point == comma or max(point, comma) < MIN_SHARE else "." if point > comma else ","


def learn_column(name: str, cells: DistinctCells, given: CellFormat) -> tuple[list[Column], str]:
    """Return the inputs made from a column, and a note on its exceptions or on a choice between two formats."""
    import pandas as pd

    column = Column(name, decimal=given.decimal or ".", missing=given.missing)
    if not len(cells.texts):
        return [column], ""
    if isinstance(cells.values.dtype, pd.CategoricalDtype) or is_code(cells):
        return [replace(column, levels=cells.levels)], ""
    numbers = np.ones(len(cells.texts), bool)
    if typed_numbers(cells.values) is None:
        numbers = ~np.isnan(parse_numbers(cells.texts, column.decimal, strict=False))
    numeric = cells.share(numbers) >= MIN_SHARE
    compact = cells.texts.str.fullmatch(r"(19|20)\d{6}").to_numpy(bool)  # such as 20160131
    if not numeric or compact[numbers].all():
        dates, note = learn_dates(column, cells, given.dayfirst, cells.share(numbers) if numeric else MIN_SHARE)
        if dates:
            return dates, note
    if numeric:
        column, note = mark_invalid_as_missing(column, cells, numbers, "numeric")
        return [column], note
    return [replace(column, levels=cells.levels)], almost_numeric_note(cells, numbers)


def learn_dates(
    column: Column, cells: DistinctCells, dayfirst: bool | None, min_share: float
) -> tuple[list[Column], str]:
    """Return the inputs made from a column of dates, and a note; no inputs if less than `min_share` are dates."""
    date_format, note = find_format(cells.values, cells.texts, dayfirst)
    if not date_format:
        return [], ""
    dates = parse_dates(cells.values, cells.texts, date_format)
    valid = dates.notna().to_numpy(bool)
    if cells.share(valid) < min_share:
        return [], ""
    column, exceptions = mark_invalid_as_missing(replace(column, format=date_format), cells, valid, "dates")
    parts = varying_parts(dates, date_format)
    inputs = [replace(column, name=f"{column.name}.{part}", source=column.name, part=part) for part in parts]
    return inputs, "; ".join(filter(None, (note, exceptions)))


def is_code(cells: DistinctCells) -> bool:
    """Whether most cells are repeated digits of one length, some with leading zeros, such as zip codes."""
    digits = cells.texts.str.fullmatch(r"\d+").to_numpy(bool)
    if not digits.any() or cells.share(digits) < MIN_SHARE:
        return False
    codes = cells.texts[digits]
    return bool(codes.str.match(r"0\d").any() and codes.str.len().nunique() == 1 and len(codes) <= cells.total / 2)


def mark_invalid_as_missing(
    column: Column, cells: DistinctCells, valid: NDArray[np.bool_], kind: str
) -> tuple[Column, str]:
    """Return the column with invalid cells as markers of missing values, and a note that lists them."""
    invalid = tuple(cells.texts[~valid])
    if not invalid:
        return column, ""
    count = f"{cells.counts[~valid].sum()} of {cells.total} values are not {kind}"
    note = f"{count}: {join_limited(map(repr, invalid), 5)}; read as missing"
    return replace(column, missing=(*column.missing, *invalid)), note


def almost_numeric_note(cells: DistinctCells, numbers: NDArray[np.bool_]) -> str:
    """Return a note on a category that would be numeric if a few texts marked missing values."""
    others = list(cells.texts[~numbers])
    if len(others) > 3 or cells.share(numbers) < 0.5:
        return ""
    count = f"{cells.counts[numbers].sum()} of {cells.total} values are numeric"
    markers = ",".join(f'"{text}"' for text in others)
    texts = join_limited(map(repr, others))
    return f"{count}, the others are {texts}; read as categories, or with 'data.missing=[{markers}]' as numbers"


def fit_column(column: Column, train: Tensor, one_hot_limit: int) -> Column:
    """Return the column with the levels or the median of the training rows, float `[N]`; levels are given as codes."""
    if column.levels:
        codes = train.unique().long().tolist()
        # If no training row has a level, the column remains categorical, with a level that no cell has.
        levels = tuple(column.levels[code - 1] for code in codes if code > 0) or ("",)
        return replace(column, levels=levels, may_miss=0 in codes, embedded=len(levels) > one_hot_limit)
    known = train[~train.isnan()]
    may_miss = len(known) < len(train)
    if not len(known):
        return replace(column, may_miss=may_miss)
    quantiles = np.quantile(known.numpy(), np.linspace(0, 1, QUANTILES)).tolist()
    return replace(column, median=float(np.median(known.numpy())), quantiles=tuple(quantiles), may_miss=may_miss)


def recode_levels(values: Tensor, before: Column, after: Column) -> Tensor:
    """Return the codes of the remaining levels, 0 for removed ones; numeric values are unchanged."""
    if not before.levels:
        return values
    code = {level: float(number) for number, level in enumerate(after.levels, start=1)}
    new = [0.0, *(code.get(level, 0.0) for level in before.levels)]
    return torch.tensor(new, dtype=values.dtype)[values.long()]
