"""The scores of a run as a table, `metrics.csv`."""

import os
from contextlib import suppress
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from trainyard.csv_text import escape_formula
from trainyard.files import write_text
from trainyard.metrics_csv import format_table, parse_table


class MetricsTable(CSVLogger):
    """Lightning's CSV logger, but it continues a table that is there, where Lightning's begins with deleting it.

    A run is continued in its directory, and a second process tests what the first has trained.

    Args:
        save_dir: the run's directory.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> "ContinuedTable":
        """The writer of the table."""
        if not isinstance(self._experiment, ContinuedTable):
            self._experiment = ContinuedTable(self.log_dir)
        return self._experiment


class ContinuedTable(ExperimentWriter):
    """A writer that appends to an existing table; if the disk is full, the table is unchanged."""

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        """Add a row; a name that a spreadsheet might take for a formula is quoted."""
        super().log_metrics({str(escape_formula(name)): value for name, value in metrics_dict.items()}, step)

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            self.metrics_keys = parse_table(path.read_bytes())[0]

    def save(self) -> None:
        """Append the rows that wait, all or none."""
        path = Path(self.metrics_file_path)
        size = path.stat().st_size if path.is_file() else 0
        try:
            super().save()
        except OSError:
            with suppress(OSError):
                os.truncate(path, size)
            raise

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        path = Path(self.metrics_file_path)
        write_text(path, format_table(fieldnames, parse_table(path.read_bytes())[1]))
