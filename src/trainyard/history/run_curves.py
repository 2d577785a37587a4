"""The curves of a run, from its table."""

import csv
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from trainyard.csv_text import restored
from trainyard.files import MOST_TABLE, open_regular

TIMES = ("time", "second")  # in the name of a column that is measured by a clock


def read_curves(folder: Path, by: str = "step") -> dict[str, dict[int, float]]:
    """Return the values of each column of a run's `metrics.csv`, but for times; nothing without a table.

    Args:
        folder: of the run.
        by: `step`, or `epoch`, of which the last value counts.
    """
    curves: dict[str, dict[int, float]] = {}
    with suppress(OSError, ValueError, csv.Error), open_text(folder / "metrics.csv") as file:
        for row in csv.DictReader(file):
            values = {name: text for name, text in row.items() if text and name not in ("step", "epoch")}
            for name, text in values.items():
                if row[by] and not any(word in name for word in TIMES):
                    curves.setdefault(restored(name), {})[int(row[by])] = float(text)
    return curves


def open_text(path: Path) -> TextIO:
    """Open a table that may be someone else's."""
    return TextIOWrapper(open_regular(path, MOST_TABLE), encoding="utf-8", newline="")
