"""Predictions as a CSV that other programs, spreadsheets among them, can read."""

from collections.abc import Sequence
from typing import TextIO

import numpy as np

from trainyard.csv_text import csv_writer, escape_formula
from trainyard.predict.predictor import PredictedBatch


class PredictionsCSV:
    """Writes a row for each input: `input,prediction,<class>...`.

    Attributes:
        rows: how many were written.
        failed: how many of them are errors.

    Args:
        stream: where to write.
        classes: the names of the classes.
    """

    def __init__(self, stream: TextIO, classes: Sequence[str]) -> None:
        self.writer = csv_writer(stream)
        self.writer.writerow(header(classes))
        self.classes = np.array([escape_formula(name) for name in classes], dtype=object)
        self.rows = 0
        self.failed = 0

    def write(self, batch: PredictedBatch) -> None:
        """Write what was predicted; an error has no probabilities."""
        predictions = self.classes[batch.probabilities.argmax(axis=1)]
        shares = batch.probabilities.astype(str).astype(object)  # as many digits as float32 has
        for position, problem in batch.errors.items():
            predictions[position] = f"error: {problem}"
            shares[position] = ""
        rows = zip(map(escape_formula, batch.names), predictions, shares, strict=True)
        self.writer.writerows([name, prediction, *row] for name, prediction, row in rows)
        self.rows += len(batch.names)
        self.failed += len(batch.errors)


def header(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns, no two of which are equal."""
    names = ["input", "prediction"]
    for name in map(str, map(escape_formula, classes)):
        while name in names:
            name = f"class {name}"
        names.append(name)
    return names
