"""The curves of a run that goes on: what was written after its checkpoint is dropped, since it will come again."""

import csv
import io
from pathlib import Path

from trainyard.event_files import purge_events
from trainyard.files import write_text


def rewind_curves(folder: Path, step: int) -> None:
    """Have table and TensorBoard end before an optimizer step.

    Args:
        folder: of the run.
        step: the first that comes anew.
    """
    table = folder / "metrics.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kept = io.StringIO()
        writer = csv.DictWriter(kept, rows[0] if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) < step)
        write_text(table, kept.getvalue())
    purge_events(folder, step)
