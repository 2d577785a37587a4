"""The curves of a run, from its table."""

import csv
from contextlib import suppress
from pathlib import Path

TIMES = ("time", "second")  # in the name of a column that is measured by a clock


def read_curves(folder: Path, by: str = "step") -> dict[str, dict[int, float]]:
    """Return the values of each column of a run's `metrics.csv`, but for times; nothing without a table.

    Args:
        folder: of the run.
        by: `step`, or `epoch`, of which the last value counts.
    """
    curves: dict[str, dict[int, float]] = {}
    with suppress(OSError, ValueError), (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {name: text for name, text in row.items() if text and name not in ("step", "epoch")}
            for name, text in values.items():
                if row[by] and not any(word in name for word in TIMES):
                    curves.setdefault(name, {})[int(row[by])] = float(text)
    return curves
