"""The table of predictions that `trainyard predict` writes."""

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.io.csv_text import csv_writer, escape_formula

# The columns before those of the classes, numbers or labels, and what one of these is called.
COLUMNS: dict[type[Target], tuple[list[str], str]] = {
    Classes: (["input", "prediction"], "class"),
    Numbers: (["input"], "target"),
    Labels: (["input", "labels"], "label"),
}


class PredictionsCSV:
    """Writes a row for each input, and counts the rows and those with an error.

    The columns are `input,prediction,<class>...`, `input,<number>...` or `input,labels,<label>...`.
    """

    def __init__(self, stream: TextIO, target: Target) -> None:
        self.writer = csv_writer(stream)
        self.writer.writerow(column_names(target))
        self.target = target
        self.names = np.array([escape_formula(name) for name in target.names], dtype=object)
        self.rows = 0
        self.failed = 0

    def write(
        self,
        names: Sequence[str],
        predictions: NDArray[np.float32],
        decisions: NDArray[Any],
        errors: Mapping[int, str],
    ) -> None:
        """Write a batch, see `predict`; in a row with an error, the second column says why and the others are empty."""
        cells = predictions.astype(str).astype(object)  # float32 without rounding
        cells = np.column_stack([*self.decision_cells(decisions), cells])
        for position, problem in errors.items():
            cells[position] = [f"error: {problem}", *[""] * (cells.shape[1] - 1)]
        self.writer.writerows([name, *row] for name, row in zip(map(escape_formula, names), cells, strict=True))
        self.rows += len(names)
        self.failed += len(errors)

    def decision_cells(self, decisions: NDArray[Any]) -> list[NDArray[np.object_]]:
        """Return the column of the predicted classes or labels; numbers have no such column."""
        if isinstance(self.target, Classes):
            return [self.names[decisions]]
        if isinstance(self.target, Labels):
            return [np.array([";".join(self.names[row]) for row in decisions], dtype=object)]
        return []


def column_names(target: Target) -> list[str]:
    """Return unique column names; a class that is called `input` or `prediction` is prefixed with `class`."""
    first, kind = COLUMNS[type(target)]
    names = [*first]
    for name in map(str, map(escape_formula, target.names)):
        while name in names:
            name = f"{kind} {name}"
        names.append(name)
    return names
