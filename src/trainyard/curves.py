"""The curves of a run that goes on: what was written after its checkpoint is dropped, since it will come again."""

import csv
import io
from pathlib import Path

from omegaconf import DictConfig

from trainyard.files import write_text


def rewind_curves(folder: Path, loggers: DictConfig | None, step: int) -> None:
    """Have table and TensorBoard end before an optimizer step.

    Args:
        folder: of the run.
        loggers: their config; TensorBoard's is told to hide later points.
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
    if loggers and "tensorboard" in loggers:
        loggers.tensorboard.purge_step = step
