"""The files of a table with target columns: a training file and, optionally, a test file."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainyard.data.loading.target import Numbers, Target
from trainyard.data.tables.columns import CellFormat
from trainyard.data.tables.labels import LabelColumns
from trainyard.data.tables.reading import nested_columns, read_table
from trainyard.data.tables.target_kind import infer_kind
from trainyard.data.tables.targets import ClassColumn, NumberColumns, TargetColumns, decimal_separator
from trainyard.io.errors import config_error, did_you_mean, join_limited

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

READERS: dict[str, type[TargetColumns]] = {
    "classification": ClassColumn,
    "regression": NumberColumns,
    "multilabel": LabelColumns,
}
LISTS = re.compile(r"$|(large_|fixed_size_)?list<[^<]*>")  # types of columns that may be labels, or are not nested
DECIMALS = {None: None, "point": ".", "comma": ","}
SPLITS = {"path": "train", "test_path": "test"}


class TableFiles:
    """Reads the rows that have a target, and their targets.

    Args:
        path, test_path: the files; without `test_path`, `path` is split.
        target: one or several columns.
        task: `classification`, `regression` or `multilabel`; `auto` to infer it from the training file.
        transform: of numbers, see `Numbers`.
        cells: the format of the cells.
    """

    def __init__(
        self, path: str, test_path: str | None, target: Any, task: str, transform: str, cells: CellFormat
    ) -> None:
        given = {"path": path, "test_path": test_path}
        self.files = {key: Path(file).expanduser() for key, file in given.items() if file is not None}
        self.target_names = as_list(target)
        self.task, self.transform, self.cells = task, transform, cells
        if not self.target_names or len(set(self.target_names)) < len(self.target_names):
            accepted = "one column, or several different ones"
            raise config_error("data.target", f"[{','.join(self.target_names)}]", "no or repeated columns", accepted)

    def read(self, trained: Target | None) -> "tuple[dict[str, pd.DataFrame], Target, dict[str, Tensor]]":
        """Return the rows with a target by config key, the target, and its values in these rows.

        Args:
            trained: the target of a trained model; `None` to learn it from the training file.
        """
        tables = {key: read_table(file, f"data.{key}") for key, file in self.files.items()}
        for key, table in tables.items():
            self.check_target(key, [str(name) for name in table.columns])
        columns = self.target_columns(tables["path"], trained)
        rows = {key: columns.rows_with_target(key, table) for key, table in tables.items()}
        left_out = {key: len(table) - len(rows[key]) for key, table in tables.items()}
        self.left_out = {f"{key}_rows_without_target": count for key, count in left_out.items() if count}
        target = trained or columns.learn(rows["path"])
        return rows, target, {key: columns.read(key, table, target) for key, table in rows.items()}

    def check_target(self, key: str, columns: Sequence[str]) -> None:
        """Raise a ConfigError for a target column that a file lacks, or that contains structs or maps."""
        for name in self.target_names:
            if name not in columns:
                problem = f"data.{key} has no such column{did_you_mean(name, columns)}"
                raise config_error("data.target", name, problem, join_limited(columns, 30))
        types = nested_columns(self.files[key])
        if found := [f"{name} ({types[name]})" for name in self.target_names if not LISTS.match(types.get(name, ""))]:
            accepted = "columns of numbers, text or lists of labels"
            problem = f"columns of nested values: {join_limited(found)}"
            raise config_error(f"data.{key}", self.files[key], problem, accepted)

    def target_columns(self, table: "pd.DataFrame", trained: Target | None) -> TargetColumns:
        """Return the reader of the target columns, and log its kind if it is inferred."""
        kind = self.task if trained is None else trained.kind
        if kind == "auto":
            inferred = infer_kind(table[self.target_names], self.cells)
            log.info("task       %s", inferred)
            kind = inferred.kind
        if self.transform != "none" and kind != "regression":
            problem = f"transforms numbers, and the task is {kind}"
            raise config_error("data.target_transform", self.transform, problem, "none, or task=regression")
        decimals: Sequence[str] = trained.decimals if isinstance(trained, Numbers) else ()
        if kind == "regression" and trained is None:  # the test file is read as the training file
            decimals = [decimal_separator(table[name], self.cells, self.files["path"]) for name in self.target_names]
        return READERS[kind](self.target_names, self.files, self.cells, self.transform, decimals)


def as_list(value: Any) -> list[str]:
    """Return one value or several as a list of texts."""
    return [str(value)] if isinstance(value, str | int | float) else list(map(str, value or ()))
