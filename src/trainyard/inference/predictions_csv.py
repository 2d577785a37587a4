"""The table of predictions that `trainyard predict` writes and `predict` returns."""

from collections.abc import Iterator, Mapping, Sequence
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


class PredictionTable:
    """A table with the columns `input,prediction,<class>...`, `input,<number>...` or `input,labels,<label>...`."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.columns = column_names(target)
        self.names = np.array([escape_formula(name) for name in target.names], dtype=object)

    def rows(
        self,
        names: Sequence[str],
        predictions: NDArray[Any],
        decisions: NDArray[Any],
        errors: Mapping[int, Sequence[object]],
    ) -> Iterator[list[Any]]:
        """Yield the rows of a batch, see `predict_batch`.

        Args:
            errors: by position, the cells that replace those of an input with an error, without its name.
        """
        cells = np.column_stack([*self.decision_cells(decisions), predictions.astype(object)])
        for position, other in errors.items():
            cells[position] = other
        return ([escape_formula(name), *row] for name, row in zip(names, cells, strict=True))

    def decision_cells(self, decisions: NDArray[Any]) -> list[NDArray[np.object_]]:
        """Return the column of the predicted classes or labels; numbers have no such column."""
        if isinstance(self.target, Classes):
            return [self.names[decisions]]
        if isinstance(self.target, Labels):
            return [np.array([";".join(self.names[row]) for row in decisions], dtype=object)]
        return []


class PredictionsCSV:
    """Writes the table of predictions as CSV, and counts the rows and those with an error."""

    def __init__(self, stream: TextIO, target: Target) -> None:
        self.table = PredictionTable(target)
        self.writer = csv_writer(stream)
        self.writer.writerow(self.table.columns)
        self.rows = 0
        self.failed = 0

    def write(
        self,
        names: Sequence[str],
        predictions: NDArray[np.float32],
        decisions: NDArray[Any],
        errors: Mapping[int, str],
    ) -> None:
        """Write the rows of a batch, with all digits of float32."""
        rest = [""] * (len(self.table.columns) - 2)
        cells = {position: [f"error: {problem}", *rest] for position, problem in errors.items()}
        self.writer.writerows(self.table.rows(names, predictions.astype(str), decisions, cells))
        self.rows += len(names)
        self.failed += len(errors)


def column_names(target: Target) -> list[str]:
    """Return unique column names; a class that is called `input` or `prediction` is prefixed with `class`."""
    first, kind = COLUMNS[type(target)]
    names = [*first]
    for name in map(str, map(escape_formula, target.names)):
        while name in names:
            name = f"{kind} {name}"
        names.append(name)
    return names
