"""Rows of tables in batches: numbers, codes, and which cells are neither."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.spec import Column
from trainyard.data.table_columns import as_text, codes, quantities
from trainyard.predict.predictor import InputBatch
from trainyard.predict.table_chunks import TableFile

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # characters of a cell in an error


def table_batches(tables: Sequence[TableFile], batch_size: int) -> Generator[InputBatch, None, None]:
    """Yield the rows of tables, float32 `[B, F]`, by their number from 1; with several tables, as `FILE:NUMBER`."""
    for table in tables:
        decimal_comma = not table.is_parquet and table.delimiter == ";"
        prefix = f"{table.name}:" if len(tables) > 1 else ""
        done = 0
        for chunk in table.chunks(batch_size):
            x, errors = numbers_of(chunk, table.columns, decimal_comma)
            names = [f"{prefix}{number}" for number in range(done + 1, done + len(x) + 1)]
            readable = [position for position in range(len(x)) if position not in errors]
            yield InputBatch(names, torch.from_numpy(x[readable] if errors else x), errors)
            done += len(x)


def numbers_of(
    frame: "pd.DataFrame", columns: Sequence[Column], decimal_comma: bool = False
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return the rows as a model takes them, `[N, F]`, and by position what cell of which column is no number.

    Numbers stay, NaN where one is missing; a category is its code, 0 for a missing or unknown one.
    """
    x = np.empty((len(frame), len(columns)), np.float64)
    problems: dict[int, list[str]] = {}
    for place, column in enumerate(columns):
        values = frame[column.name]
        if column.levels:
            x[:, place] = codes(as_text(values), column.levels)
            continue
        x[:, place], wrong = quantities_of_cells(values, decimal_comma)
        for position in np.flatnonzero(wrong):
            text = str(values.iloc[position])
            shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
            problems.setdefault(int(position), []).append(f"{column.name} is no number: {shown}")
    return x.astype(np.float32), {position: "; ".join(found) for position, found in problems.items()}


def quantities_of_cells(values: "pd.Series[Any]", decimal_comma: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a numeric column as training makes it of whole columns, and which cells are no numbers, `[N]`.

    Where one cell is none, pandas reads all of them as text; then each is read by itself.
    """
    import pandas as pd

    whole = quantities(values)
    if whole is not None:
        return whole, np.zeros(len(values), bool)
    texts = values.astype("string").str.strip()
    plain = texts.str.replace(",", ".", regex=False) if decimal_comma else texts
    numbers = pd.to_numeric(plain, errors="coerce").astype("Float64")
    numbers = numbers.fillna(texts.str.lower().map({"true": 1.0, "false": 0.0}).astype("Float64"))
    dates = pd.to_datetime(
        texts.where(texts.str.match(r"\d{4}-\d\d-\d\d")), format="ISO8601", errors="coerce", utc=True
    )
    days = quantities(dates)
    numbers = numbers.fillna(pd.Series(days, index=values.index, dtype="Float64"))
    found = quantities(numbers)
    assert found is not None
    return found, (numbers.isna() & values.notna()).to_numpy(bool)
