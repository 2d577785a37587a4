"""Reading and truncating `metrics.csv`, the table of a run's metrics; `metrics_table.MetricsTable` writes it."""

import csv
import io
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from trainyard.io.csv_text import csv_writer, unescape_formula
from trainyard.io.files import MAX_TABLE, open_regular, relative, write_text

log = logging.getLogger(__name__)

TABLE = "metrics.csv"
DAMAGED = "metrics.damaged.csv"
STEP = "step"
DURATION_WORDS = {"time", "second", "seconds"}  # in the names of columns that are not reproducible


def read_curves(folder: Path, by: str = STEP) -> dict[str, dict[int, float]]:
    """Return the values of each column of a run's table, without durations; empty without a table.

    Args:
        folder: the directory of the run.
        by: `step` or `epoch`, the index of the values; an epoch has its last value.
    """
    content = b""
    with suppress(OSError), open_regular(folder / TABLE, MAX_TABLE) as file:
        content = file.read()
    curves: dict[str, dict[int, float]] = {}
    for row in parse_table(content)[1]:
        if not is_count(index := row.get(by, "")):
            continue
        for name, text in row.items():
            words = re.split(r"[^a-z]+", name.lower())
            if text and name not in (STEP, by) and DURATION_WORDS.isdisjoint(words):
                curves.setdefault(unescape_formula(name), {})[int(index)] = float(text)
    return curves


def parse_table(content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and the valid rows of a table.

    A valid row is complete, has a cell for each column, and its step is a whole number; a cell that is not a number is
    returned as empty.
    """
    head, *lines = content.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    columns = parse_line(head) if lines else []
    rows = []
    for cells in map(parse_line, lines[:-1]):  # a killed process may leave the last line incomplete
        if STEP in columns and len(cells) == len(columns) and is_count(cells[columns.index(STEP)]):
            rows.append({name: cell if is_number(cell) else "" for name, cell in zip(columns, cells, strict=True)})
    return columns, rows


def parse_line(line: str) -> list[str]:
    """Return the cells of a line; none if it is not valid CSV."""
    with suppress(csv.Error):
        return next(csv.reader([line], strict=True), [])
    return []


def is_number(text: str) -> bool:
    """Return whether `text` can be converted to a float."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_count(text: str) -> bool:
    """Return whether `text` is a non-negative integer of at most 18 digits."""
    return text.isascii() and text.isdigit() and len(text) < 19


def format_table(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return a table as CSV, with empty cells for missing values."""
    file = io.StringIO()
    csv_writer(file).writerows([columns, *([row.get(name, "") for name in columns] for row in rows)])
    return file.getvalue()


def truncate_table(table: Path, step: int) -> None:
    """Remove damaged rows, and those from an optimizer step on, which a resumed run writes again.

    A table with damaged rows is kept as `metrics.damaged.csv`; an incomplete last line is not damage.
    """
    if not table.is_file():
        return
    content = table.read_bytes()
    columns, rows = parse_table(content)
    complete_lines = content[: content.rfind(b"\n") + 1].decode("utf-8", errors="replace")
    if complete_lines and format_table(columns, rows) != complete_lines.replace("\r\n", "\n"):
        table.with_name(DAMAGED).write_bytes(content)
        log.warning("%s is damaged: its readable rows are kept; the original is in %s", relative(table), DAMAGED)
    if STEP in columns:
        write_text(table, format_table(columns, (row for row in rows if int(row[STEP]) < step)))
    else:
        table.unlink()
