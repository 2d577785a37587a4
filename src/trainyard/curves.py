"""The table of a run's scores, `metrics.csv`: reads its intact rows, and truncates it when the run resumes."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from trainyard.files import relative, write_text

TABLE = "metrics.csv"
DAMAGED = "metrics.damaged.csv"
STEP = "step"

log = logging.getLogger(__name__)


def read_table(content: bytes) -> tuple[list[str], list[dict[str, str]], int]:
    """Return the columns and rows of a table, and the number of lines that are damaged.

    A row counts if its line is complete, has a cell for each column, and its step is a whole number; a cell that is no
    number is empty. An incomplete last line, as a kill leaves, is skipped and not counted as damaged.
    """
    head, *lines = content.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    columns = cells_of(head) if lines else []
    rows, damaged = [], 0
    for cells in map(cells_of, lines[:-1]):
        if STEP in columns and len(cells) == len(columns) and is_count(cells[columns.index(STEP)]):
            kept = [cell if is_number(cell) else "" for cell in cells]
            rows.append(dict(zip(columns, kept, strict=True)))
            damaged += kept != cells
        else:
            damaged += 1
    return columns, rows, damaged


def cells_of(line: str) -> list[str]:
    """Return the cells of a line; none where it is not CSV."""
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


def as_text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return a table as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def truncate_table(table: Path, step: int) -> None:
    """Remove damaged rows, and those from an optimizer step on, which a resumed run writes again.

    If rows are damaged, not only the last one incomplete, a copy of the table is kept.
    """
    if not table.is_file():
        return
    content = table.read_bytes()
    columns, rows, damaged = read_table(content)
    if damaged:
        table.with_name(DAMAGED).write_bytes(content)
        log.warning("%s is damaged: its readable rows are kept; the original is in %s", relative(table), DAMAGED)
    if STEP in columns:
        write_text(table, as_text(columns, (row for row in rows if int(row[STEP]) < step)))
    else:
        table.unlink()
