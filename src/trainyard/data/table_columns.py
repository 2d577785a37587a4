"""How the columns of a table are to be read, learned once from the training file."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cells import cell_texts, factorize, parse_numbers, typed_numbers, whole
from trainyard.data.dates import find_format, read_moments, varying_parts
from trainyard.data.find_files import natural
from trainyard.data.spec import Column, embedding_width
from trainyard.errors import listing

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.95  # of the filled cells that must be numbers or dates, for the others to be exceptions
MOST_WEIGHTS = 2**20  # in the embedding of a column, unless it has more than 131,072 levels
LEAST_WIDTH = 8


@dataclass(frozen=True)
class Conventions:
    """How the cells of a table are written, as far as a person has said it.

    Attributes:
        missing: texts that mark a missing value.
        decimal: the decimal separator, `.` or `,`; `None` to find it out.
        dayfirst: the choice where day and month of dates could be the other way round; `None` for the month first,
            except where points separate them.
    """

    missing: tuple[str, ...] = ()
    decimal: str | None = None
    dayfirst: bool | None = None


@dataclass(frozen=True)
class Cells:
    """The distinct cells of a column that hold something, as they are and as text, and how often each is there."""

    values: "pd.Series[Any]"
    texts: "pd.Series[Any]"
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, column: "pd.Series[Any]", missing: tuple[str, ...]) -> "Cells":
        """Return the cells of a column."""
        place, distinct = factorize(column)
        texts = cell_texts(distinct, missing)
        filled = texts.notna().to_numpy(bool)
        counts = np.bincount(place[place >= 0], minlength=len(distinct))
        return cls(distinct[filled].reset_index(drop=True), texts[filled].reset_index(drop=True), counts[filled])

    @property
    def filled(self) -> int:
        """The number of cells that hold something."""
        return int(self.counts.sum())

    @property
    def levels(self) -> tuple[str, ...]:
        """The texts in natural order, a whole number without a point."""
        return tuple(sorted({whole(text) for text in self.texts}, key=natural))

    def share(self, which: NDArray[np.bool_]) -> float:
        """Return the share of the cells that are among some of the distinct ones."""
        return float(self.counts[which].sum() / self.filled)


def learn_columns(
    table: "pd.DataFrame", said: Conventions, semicolons: bool
) -> tuple[dict[str, list[Column]], list[str]]:
    """Return the inputs that each column gives, by its header, and what a person should know of how it is read.

    Args:
        table: of the training file, without the target.
        said: what is known already.
        semicolons: whether they separate the columns, which leaves the comma to the decimals.
    """
    cells = {str(name): Cells.of(table[name], said.missing) for name in table.columns}
    decimals = {name: said.decimal or decimal_of(column) for name, column in cells.items()}
    usual = Counter(filter(None, decimals.values())).most_common(1)
    columns: dict[str, list[Column]] = {}
    notes = []
    for name, column in cells.items():
        commas = bool(column.texts.str.contains(",", regex=False).any())
        decimal = decimals[name] or (usual[0][0] if usual else "," if commas and semicolons else ".")
        columns[name], note = learn_column(name, column, replace(said, decimal=decimal))
        numeric = not (columns[name][0].levels or columns[name][0].part)
        if commas and numeric and not (decimals[name] or usual):
            note = "; ".join(filter(None, (two_numbers(column.texts, decimal), note)))
        notes += [f"column {name}: {note}"] if note else []
    return columns, notes


def two_numbers(texts: "pd.Series[Any]", decimal: str) -> str:
    """Return a note on numbers whose comma could separate decimals or thousands."""
    other, choice = (",", "comma") if decimal == "." else (".", "point")
    chosen, others = (parse_numbers(texts, sign) for sign in (decimal, other))
    differ = np.flatnonzero(np.isfinite(chosen) & np.isfinite(others) & (chosen != others))
    if not len(differ):
        return ""
    place = differ[0]
    return f"{texts.iloc[place]} is read as {chosen[place]:g}; data.decimal={choice} reads it as {others[place]:g}"


def decimal_of(cells: Cells) -> str:
    """Return the decimal separator with which more cells are numbers, nothing where it makes no difference."""
    if typed_numbers(cells.values) is not None or not cells.texts.str.contains(r"[.,]").any():
        return ""
    point, comma = (cells.share(~np.isnan(parse_numbers(cells.texts, decimal))) for decimal in ".,")
    return "" if point == comma or max(point, comma) < SHARE else "." if point > comma else ","


def learn_column(name: str, cells: Cells, said: Conventions) -> tuple[list[Column], str]:
    """Return the inputs that a column gives, and a note on its exceptions or on a choice between two readings."""
    import pandas as pd

    column = Column(name, decimal=said.decimal or ".", missing=said.missing)
    if not len(cells.texts):
        return [column], ""
    if isinstance(cells.values.dtype, pd.CategoricalDtype) or is_code(cells):
        return [replace(column, levels=cells.levels)], ""
    typed = typed_numbers(cells.values) is not None
    numbers = ~np.isnan(parse_numbers(cells.texts, column.decimal, strict=False))
    numeric = typed or cells.share(numbers) >= SHARE
    compact = cells.texts.str.fullmatch(r"(19|20)\d{6}").to_numpy(bool)  # such as 20160131
    if not numeric or (compact.any() and compact[numbers].all()):
        form, note = find_format(cells.values, cells.texts, said.dayfirst)
        moments = read_moments(cells.values, cells.texts, form) if form else cells.values
        dates = moments.notna().to_numpy(bool)
        if form and cells.share(dates) >= (cells.share(numbers) if numeric else SHARE):
            column, exceptions = with_exceptions(replace(column, format=form), cells, dates, "dates")
            parts = [
                replace(column, name=f"{name}.{part}", source=name, part=part) for part in varying_parts(moments, form)
            ]
            return parts, "; ".join(filter(None, (note, exceptions)))
    if typed:
        return [column], ""
    if numeric:
        column, note = with_exceptions(column, cells, numbers, "numeric")
        return [column], note
    return [replace(column, levels=cells.levels)], almost_numeric(cells, numbers)


def is_code(cells: Cells) -> bool:
    """Whether almost all cells are digits of one length with leading zeros, such as zip codes, and most repeat."""
    digits = cells.texts.str.fullmatch(r"\d+").to_numpy(bool)
    if not digits.any() or cells.share(digits) < SHARE:
        return False
    codes = cells.texts[digits]
    return bool(codes.str.match(r"0\d").any() and codes.str.len().nunique() == 1 and len(codes) <= cells.filled / 2)


def with_exceptions(column: Column, cells: Cells, read: NDArray[np.bool_], what: str) -> tuple[Column, str]:
    """Return the column with the cells that are not read as markers of missing values, and a note that names them."""
    others = tuple(cells.texts[~read])
    if not others:
        return column, ""
    count = f"{cells.counts[~read].sum()} of {cells.filled} values are not {what}"
    note = f"{count}: {listing(map(repr, others), 5)}; read as missing"
    return replace(column, missing=(*column.missing, *others)), note


def almost_numeric(cells: Cells, numbers: NDArray[np.bool_]) -> str:
    """Return a note on a category that would be numeric if few texts marked missing values."""
    others = list(cells.texts[~numbers])
    if len(others) > 3 or cells.share(numbers) < 0.5:
        return ""
    count = f"{cells.counts[numbers].sum()} of {cells.filled} values are numeric, the others are"
    markers = ",".join(f'"{text}"' for text in others)
    return f"{count} {listing(map(repr, others))}; read as categories, or with 'data.missing=[{markers}]' as numbers"


def fitted(column: Column, train: Tensor, one_hot_limit: int) -> Column:
    """Return the column with what the training rows say of it.

    Args:
        column: how it is read; if it is categorical, with all its levels.
        train: its values, float `[N]`; codes where it is categorical.
        one_hot_limit: most levels that are one-hot encoded; more are embedded.
    """
    if column.levels:
        seen = train.unique().long().tolist()
        # Where training rows have none, the column stays a category, with a level that no cell has.
        levels = tuple(column.levels[code - 1] for code in seen if code > 0) or ("",)
        most = max(LEAST_WIDTH, MOST_WEIGHTS // len(levels))
        width = most if most < embedding_width(len(levels)) else 0
        return replace(column, levels=levels, may_miss=0 in seen, embedded=len(levels) > one_hot_limit, width=width)
    known = train[~train.isnan()]
    median = float(np.median(known.numpy())) if len(known) else 0.0
    return replace(column, median=median, may_miss=len(known) < len(train))


def recoded(values: Tensor, before: Column, after: Column) -> Tensor:
    """Return codes for the levels that are left; those that are gone get 0. Quantities stay."""
    if not before.levels:
        return values
    code = {level: float(number) for number, level in enumerate(after.levels, start=1)}
    new = [0.0, *(code.get(level, 0.0) for level in before.levels)]
    return torch.tensor(new, dtype=values.dtype)[values.long()]
