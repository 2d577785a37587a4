"""Reads the labels of the rows of a table: several in a cell, or a column of 0 and 1 for each label."""

import ast
import logging
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.target import Labels, Target
from trainyard.data.tables.reading import cell_texts, to_text
from trainyard.data.tables.target_kind import SEPARATORS, is_list
from trainyard.data.tables.targets import TargetColumns, class_texts, describe_distinct
from trainyard.io.errors import join_limited
from trainyard.io.files import natural_key

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

INDICATORS = {"0": False, "1": True, "false": False, "true": True}


class LabelColumns(TargetColumns):
    """A column whose cells contain any number of labels, or columns of 0 and 1, each for the label with its name."""

    noun = "labels"

    def complete(self, key: str, table: "pd.DataFrame") -> NDArray[np.bool_]:
        """Return which rows have labels, or a list without labels."""
        if len(self.names) > 1:
            missing = [cell_texts(table[name], self.format.missing).isna().to_numpy(bool) for name in self.names]
            return np.asarray(~np.any(missing, axis=0))
        present = np.asarray(class_texts(table[self.names[0]]) != "")
        if not present.all():
            log.warning("an empty cell of %s is a missing value; write [] for a row without labels", self.names[0])
        return present

    def labels(self, table: "pd.DataFrame", known: Collection[str] = ()) -> list[list[str]]:
        """Return the labels of each row; `known` are those of the training file, if this is another one."""
        if len(self.names) > 1 or (list(known) == list(self.names) if known else self.is_indicator(table)):
            return self.indicated_labels(table)
        values = table[self.names[0]]
        separator = find_separator(values)
        return [[to_text(cell)] if str(cell) in known else split_labels(cell, separator) for cell in values]

    def is_indicator(self, table: "pd.DataFrame") -> bool:
        """Whether the only column contains 0 and 1 instead of labels."""
        return {text.casefold() for text in class_texts(table[self.names[0]])} <= set(INDICATORS)

    def indicated_labels(self, table: "pd.DataFrame") -> list[list[str]]:
        """Return the names of the columns with a 1 in each row."""
        rows: list[list[str]] = [[] for _ in range(len(table))]
        for name in self.names:
            texts = class_texts(table[name])
            if invalid := {text for text in texts if text.removesuffix(".0").casefold() not in INDICATORS}:
                accepted = "columns of 0 and 1, or one column of labels such as cat;dog"
                raise self.invalid(f"{name} contains {join_limited(sorted(invalid), 3)}", accepted)
            for row, text in zip(rows, texts, strict=True):
                if INDICATORS[text.removesuffix(".0").casefold()]:
                    row.append(name)
        return rows

    def learn(self, table: "pd.DataFrame") -> Target:
        """Return the labels: the columns, or those in the cells in natural order."""
        rows = self.labels(table)
        found = {label for labels in rows for label in labels}
        by_column = len(self.names) > 1 or self.is_indicator(table)
        names = list(self.names) if by_column else sorted(found, key=natural_key)
        accepted = "labels that some rows have and others lack"
        if len({frozenset(labels) for labels in rows}) < 2:
            problem = f"all {len(rows)} rows have the same labels: {join_limited(sorted(found)) or 'none'}"
            raise self.invalid(problem, accepted)
        if absent := [name for name in names if name not in found]:
            raise self.invalid(f"no row has the label {join_limited(absent)}", accepted)
        if len(names) > len(rows) / 2:
            raise self.invalid(describe_distinct("labels", names, len(rows)), "labels that occur in several rows")
        return Labels(tuple(names))

    def read(self, key: str, table: "pd.DataFrame", target: Target) -> Tensor:
        """Return 1 for each label that a row has, else 0, float32 `[N, L]`."""
        position = {name: number for number, name in enumerate(target.names)}
        rows = self.labels(table, target.names)
        self.check_known(key, (label for labels in rows for label in labels), target)
        values = torch.zeros(len(rows), len(position))
        for row, labels in enumerate(rows):
            values[row, [position[label] for label in labels]] = 1
        return values


def find_separator(values: "pd.Series[Any]") -> str:
    """Return the sign that separates labels in the texts of a column; empty if there is none."""
    texts = [cell for cell in values if isinstance(cell, str) and not is_list(cell)]
    return next((sign for sign in (*SEPARATORS, ",") if any(sign in text for text in texts)), "")


def split_labels(cell: object, separator: str) -> list[str]:
    """Return the labels in a cell: `a;b`, a list, or a list as text such as `['a', 'b']` or `[a, b]`."""
    items: list[Any]
    if not isinstance(cell, str):
        items = list(cell) if isinstance(cell, list | tuple | set | np.ndarray) else [cell]
    elif is_list(cell):
        try:
            items = list(ast.literal_eval(cell.strip()))
        except (ValueError, SyntaxError):  # without quotes
            items = [part.strip().strip("'\"") for part in re.split("[,;|]", cell.strip()[1:-1])]
    else:
        items = cell.split(separator) if separator else [cell]
    return [text for text in dict.fromkeys(map(to_text, items)) if text]
