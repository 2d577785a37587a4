"""Reads tables a few rows at a time, with the same values as training reads at once."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainyard.data.spec import Column
from trainyard.data.table_file import ACCEPTED, PARQUET, check_is_text, nested_columns, text_options
from trainyard.errors import did_you_mean, reject

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TableFile:
    """A table in a file and the columns that a model takes from it.

    Attributes:
        path: of the file.
        name: of the file in errors and results.
        columns: of the model.
    """

    path: Path
    name: str
    columns: Sequence[Column]

    @property
    def is_parquet(self) -> bool:
        """Whether it is a Parquet file rather than text."""
        return self.path.suffix.lower() in PARQUET

    def check(self) -> int | None:
        """Return the number of rows, if the file states it.

        Raises:
            ConfigError: the file cannot be read, has no rows, or lacks columns of the model; it lists all of them.
        """
        if not self.path.is_file():  # reading a pipe would block
            raise reject("INPUT", self.name, "not a regular file", ACCEPTED)
        if self.path.stat().st_size == 0:
            raise reject("INPUT", self.name, "it is empty", ACCEPTED)
        with self.clear_errors():
            names, rows = self.parquet_head() if self.is_parquet else self.text_head()
        if rows == 0:
            raise reject("INPUT", self.name, "it has no rows", ACCEPTED)
        wanted = list(dict.fromkeys(column.header for column in self.columns))
        others = [name for name in names if name not in wanted]
        nested = nested_columns(self.path)
        problems = [f"no column {name}{did_you_mean(name, others)}" for name in wanted if name not in names]
        problems += [f"column {name} of nested values ({nested[name]})" for name in wanted if name in nested]
        problems += [f"several columns {name}" for name in wanted if names.count(name) > 1]
        if problems:
            raise reject("INPUT", self.name, "; ".join(problems), f"the model's columns: {', '.join(wanted)}")
        return rows

    def text_head(self) -> tuple[list[str], int | None]:
        """Return the names of the columns, and 0 if there are no rows."""
        check_is_text(self.path)
        head = next(self.text_chunks(1))
        return list(head.columns), None if len(head) else 0

    def parquet_head(self) -> tuple[list[str], int]:
        """Return the names of the columns and the number of rows."""
        with self.open_parquet() as file:
            return list(map(stripped, file.schema_arrow.names)), file.metadata.num_rows

    def chunks(self, rows: int) -> Iterator["pd.DataFrame"]:
        """Yield the table in chunks of so many rows.

        Raises:
            ConfigError: the file cannot be read, or a row has more values than the header.
        """
        with self.clear_errors():
            yield from self.parquet_chunks(rows) if self.is_parquet else self.text_chunks(rows)

    def text_chunks(self, rows: int) -> Iterator["pd.DataFrame"]:
        """Yield the rows of a text file; all cells are text."""
        import pandas as pd

        with pd.read_csv(self.path, index_col=False, chunksize=rows, **text_options(self.path)) as reader:
            while True:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", pd.errors.ParserWarning)
                    chunk = next(reader, None)
                if chunk is None:
                    return
                yield chunk.rename(columns=stripped)

    def parquet_chunks(self, rows: int) -> Iterator["pd.DataFrame"]:
        """Yield the rows of a Parquet file, only the model's columns."""
        wanted = {column.header for column in self.columns}
        with self.open_parquet() as file:
            names = [name for name in file.schema_arrow.names if stripped(name) in wanted]
            for batch in file.iter_batches(rows, columns=names):
                yield batch.to_pandas().rename(columns=stripped)

    def open_parquet(self) -> Any:
        """Open a Parquet file."""
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

        return ParquetFile(self.path)

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Convert exceptions of pandas and pyarrow to a ConfigError."""
        import pandas as pd

        try:
            yield
        except pd.errors.ParserWarning as warning:
            problem = "its rows have more values than its header has names"
            raise reject("INPUT", self.name, problem, ACCEPTED) from warning
        except (ValueError, OSError, NotImplementedError) as error:
            problem = f"cannot be read ({(str(error).splitlines() or [type(error).__name__])[0]})"
            raise reject("INPUT", self.name, problem, ACCEPTED) from error


def stripped(name: object) -> str:
    """Return the name of a column as training has it."""
    return str(name).strip()
