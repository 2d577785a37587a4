"""Columns that a person would not want to learn from, found before training."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainyard.data.table_columns import as_text, quantities

if TYPE_CHECKING:
    import pandas as pd


def suspicious_columns(table: "pd.DataFrame", labels: NDArray[np.object_]) -> Iterator[tuple[str, str]]:
    """Yield the name of each column that is constant, an identifier, or a copy of the target, and which it is.

    Args:
        table: the columns that are learned from.
        labels: the class of each row, as text.
    """
    import pandas as pd

    classes, names_of_classes = pd.factorize(labels)
    for name in table.columns:
        numbers = quantities(table[name])
        place, distinct = pd.factorize(as_text(table[name]) if numbers is None else numbers)  # -1: missing
        present = place >= 0
        if len(distinct) + (not present.all()) <= 1:  # of one value, those that miss it may tell something
            yield name, "is constant: nothing can be learned from it"
        elif len(distinct) == len(names_of_classes) == len(set(zip(place[present], classes[present], strict=True))):
            yield name, "is a copy of the target: each value means one class"
        elif counts(name, numbers[present]) if numbers is not None else len(distinct) > present.sum() / 2:
            yield name, f"looks like an identifier: {len(distinct)} values in {present.sum()} rows"


def counts(name: str, numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are whole, each its own, and count the rows: in order, without a gap, or called an id."""
    if (numbers % 1).any() or len(np.unique(numbers)) < len(numbers):
        return False
    in_order, gapless = (np.diff(numbers) > 0).all(), np.ptp(numbers) < len(numbers)
    return bool(in_order or gapless or re.search(r"(\b|_)id$|I[dD]$", name))


def typed(names: Sequence[str]) -> str:
    """Return how `data.ignore` is typed on the command line."""
    if all(re.fullmatch(r"[\w.-]+", name) for name in names):
        return f"data.ignore=[{','.join(names)}]"
    quoted = ",".join(f'"{name}"' for name in names)
    return f"'data.ignore=[{quoted}]'"
