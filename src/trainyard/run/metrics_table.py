"""The logger that writes `metrics.csv`."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from trainyard.io.csv_text import csv_writer, escape_formula
from trainyard.io.files import write_text
from trainyard.run.metrics_csv import TABLE, format_table, parse_table

MAX_PENDING = 100  # rows


class MetricsTable(Logger):
    """Appends metrics to `metrics.csv`, also when a run is resumed; Lightning's CSVLogger would delete the table."""

    name = version = save_dir = ""  # properties of the base class

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.save_dir = save_dir
        self.path = Path(save_dir) / TABLE
        self.columns: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def log_hyperparams(self, *arguments: Any, **more: Any) -> None:
        """Do nothing: `config.yaml` contains the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row; a name that a spreadsheet might evaluate as a formula is quoted."""
        numbers = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        row = {str(escape_formula(name)): number for name, number in numbers.items()}
        self.rows.append({**row, "step": len(self.rows) if step is None else step})
        if len(self.rows) >= MAX_PENDING:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Append the pending rows, all or none; new columns rewrite the table.

        Raises:
            OSError: the disk is full; the table is unchanged.
        """
        if not self.rows:
            return
        exists = self.path.is_file()
        if exists and not self.columns:
            self.columns = parse_table(self.path.read_bytes())[0]
        columns = sorted({*self.columns, *(name for row in self.rows for name in row)})
        if not exists or columns != self.columns:
            earlier = parse_table(self.path.read_bytes())[1] if exists else []
            write_text(self.path, format_table(columns, earlier))
            self.columns = columns
        self.append()
        self.rows = []

    def append(self) -> None:
        """Append the pending rows to the file."""
        size = self.path.stat().st_size
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv_writer(file).writerows([row.get(name) for name in self.columns] for row in self.rows)
        except OSError:
            with suppress(OSError):
                os.truncate(self.path, size)
            raise

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the pending rows."""
        self.save()
