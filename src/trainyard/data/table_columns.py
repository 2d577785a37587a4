"""The columns of a table as numbers: quantities as they are, categories as codes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.find_files import natural
from trainyard.data.spec import Column

if TYPE_CHECKING:
    import pandas as pd

LARGEST = float(np.finfo(np.float32).max)


def as_text(values: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return values as text, `None` where one is missing; 3.0 and 3 are both "3"."""
    import pandas as pd

    try:
        place, distinct = pd.factorize(values)
    except TypeError:  # lists and the like, which Parquet may hold
        place, distinct = pd.factorize(values.map(str, na_action="ignore"))
    texts: NDArray[np.object_] = np.array([*map(text_of, distinct), None], dtype=object)[place]
    return texts  # None is the last, and -1 the place of a missing one


def text_of(value: object) -> str:
    """Return a value as text; a whole number without a point."""
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def ordered(values: NDArray[np.object_]) -> tuple[str, ...]:
    """Return the distinct texts in natural order."""
    return tuple(sorted({value for value in values if value is not None}, key=natural))


def quantities(values: "pd.Series[Any]") -> NDArray[np.float64] | None:
    """Return the numbers of a column whose differences mean something, NaN where one is missing; `None` for categories.

    Truth values are 0 and 1, points in time days since 1970. What float32 cannot hold, infinity too, is missing.
    """
    import pandas as pd
    from pandas.api import types

    if values.isna().all():
        return np.full(len(values), np.nan)
    kind = types.infer_dtype(values, skipna=True)
    if kind in ("string", "date", "datetime"):
        values = as_dates(values)
    elif kind in ("boolean", "decimal"):  # with missing ones among them, these are Python objects
        values = values.astype("float64")
    if types.is_datetime64_any_dtype(values):
        values = values - pd.Timestamp(0, tz=values.dt.tz)
    if types.is_timedelta64_dtype(values):
        values = values / pd.Timedelta(days=1)
    if not types.is_numeric_dtype(values):
        return None
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)


def as_dates(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return points in time that are written like 2026-11-30 or 2026-11-30T12:00, and any other column as it is."""
    import pandas as pd

    if not values.dropna().astype(str).str.match(r"\d{4}-\d\d-\d\d").all():
        return values
    dates = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    return dates if dates.notna().equals(values.notna()) else values


def codes(texts: NDArray[np.object_], levels: Sequence[str]) -> NDArray[np.float64]:
    """Return the code of each text, 1 for the first level and so on; 0 for a missing or unknown one."""
    code = {level: number for number, level in enumerate(levels, start=1)}
    return np.array([code.get(text, 0) for text in texts], dtype=np.float64)


def fitted(column: Column, train: Tensor, one_hot_limit: int) -> Column:
    """Return the column with what the training rows say of it.

    Args:
        column: its name and, if it is categorical, all its levels.
        train: its values, float `[N]`; codes where it is categorical.
        one_hot_limit: most levels that are one-hot encoded; more are embedded.
    """
    if column.levels:
        seen = train.unique().long().tolist()
        levels = tuple(column.levels[code - 1] for code in seen if code > 0)
        return replace(column, levels=levels, may_miss=0 in seen, embedded=len(levels) > one_hot_limit)
    known = train[~train.isnan()]
    median = float(np.median(known.numpy())) if len(known) else 0.0
    return replace(column, median=median, may_miss=len(known) < len(train))


def recoded(values: Tensor, before: Column, after: Column) -> Tensor:
    """Return codes for the levels that are left; those that are gone get 0. Quantities stay."""
    if not before.levels:
        return values
    new = codes(np.array(before.levels, dtype=object), after.levels)
    return torch.tensor([0.0, *new], dtype=values.dtype)[values.long()]
