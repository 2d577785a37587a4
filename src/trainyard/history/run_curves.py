"""The curves of a run, from its table."""

from contextlib import suppress
from pathlib import Path

from trainyard.csv_text import restored
from trainyard.curves import TABLE, is_count, read_table
from trainyard.files import MOST_TABLE, open_regular

TIMES = ("time", "second")  # in the name of a column that is measured by a clock


def read_curves(folder: Path, by: str = "step") -> dict[str, dict[int, float]]:
    """Return the values of each column of a run's `metrics.csv`, but for times; nothing without a table.

    Args:
        folder: of the run.
        by: `step`, or `epoch`, of which the last value counts.
    """
    content = b""
    with suppress(OSError), open_regular(folder / TABLE, MOST_TABLE) as file:
        content = file.read()
    curves: dict[str, dict[int, float]] = {}
    for row in read_table(content)[1]:
        values = {name: text for name, text in row.items() if text and name not in ("step", "epoch")}
        for name, text in values.items() if is_count(at := row.get(by, "")) else ():
            if not any(word in name for word in TIMES):
                curves.setdefault(restored(name), {})[int(at)] = float(text)
    return curves
