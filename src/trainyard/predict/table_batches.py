"""Rows of tables in batches, read as in training, and the cells that cannot be read."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.loading.spec import Column
from trainyard.data.tables.cells import read_rows
from trainyard.data.tables.table_file import has_semicolons
from trainyard.predict.predictor import InputBatch
from trainyard.predict.table_chunks import TableFile

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40  # characters of a cell in an error


def table_batches(tables: Sequence[TableFile], batch_size: int) -> Generator[InputBatch, None, None]:
    """Yield the rows of tables, float32 `[B, F]`, by their number from 1; with several tables, as `FILE:NUMBER`."""
    for table in tables:
        prefix = f"{table.name}:" if len(tables) > 1 else ""
        semicolons = has_semicolons(table.path)
        done = 0
        for chunk in table.chunks(batch_size):
            x, errors = numbers_of(chunk, table.columns, semicolons)
            names = [f"{prefix}{number}" for number in range(done + 1, done + len(x) + 1)]
            readable = [position for position in range(len(x)) if position not in errors]
            yield InputBatch(names, torch.from_numpy(x[readable] if errors else x), errors)
            done += len(x)


def numbers_of(
    frame: "pd.DataFrame", columns: Sequence[Column], semicolons: bool = False
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return the rows as a model takes them, `[N, F]`, and by position the cells that are no numbers or dates.

    Numbers stay, NaN where one is missing; a category is its code, 0 for a missing or unknown one.
    """
    x, wrong = read_rows(frame, columns, semicolons)
    problems: dict[int, list[str]] = {}
    for column in {column.header: column for column in columns}.values():
        for position in np.flatnonzero(wrong[column.header]):
            text = str(frame[column.header].iloc[position]).strip()
            shown = text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
            what = "date" if column.part else "number"
            problems.setdefault(int(position), []).append(f"{column.header} is not a {what}: {shown}")
    return x.astype(np.float32), {position: "; ".join(found) for position, found in problems.items()}
