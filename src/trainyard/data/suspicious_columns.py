"""Columns that a person would not want to learn from, found before training."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainyard.data.table_columns import as_text

if TYPE_CHECKING:
    import pandas as pd


def suspicious_columns(table: "pd.DataFrame", labels: NDArray[np.object_]) -> Iterator[str]:
    """Yield a warning for each column that is constant, an identifier, or a copy of the target.

    Args:
        table: the columns that are learned from.
        labels: the class of each row, as text.
    """
    from pandas.api import types

    for name in table.columns:
        values = as_text(table[name])
        present = values != None  # noqa: E711  elementwise
        distinct = len(set(values[present]))
        hint = f"; data.ignore=[{name}] leaves it out"
        if distinct <= 1:
            yield f"column {name} is constant: nothing can be learned from it{hint}"
        elif distinct == len(values) and not types.is_float_dtype(table[name]):
            yield f"column {name} looks like an identifier: each row has its own{hint}"
        elif len(set(zip(values[present], labels[present], strict=True))) == distinct == len(set(labels)):
            yield f"column {name} is a copy of the target: each value means one class{hint}"
