"""Images whose classes, numbers or labels are in a table."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trainyard.data.cache.decoded_images import DecodedImages
from trainyard.data.loading.spec import Examples
from trainyard.data.sources.image_source import ImageSource
from trainyard.data.tables.columns import CellFormat
from trainyard.data.tables.reading import to_text
from trainyard.data.tables.table_files import DECIMALS, SPLITS, TableFiles, as_list
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class ImageTable(ImageSource):
    """Image files that a table lists, with what is to be predicted for each.

    Args:
        path: a .csv, .tsv or .parquet file.
        image: the column of file names, relative to `root`.
        target: one or several columns that are to be predicted; rows without them are dropped.
        root: the folder of the images; `auto` for that of the table.
        task: what the target contains: `classification`, `regression` or `multilabel`; `auto` to infer it.
        target_transform: `log` to predict the logarithm of numbers, or `none`.
        missing: texts that mark a missing number, in addition to an empty cell, `NA`, `null` and the like.
        decimal: the decimal separator of ambiguous numbers, `point` or `comma`; `None` to infer it.
        test_path: a table of test images; `None` to split `path`.
        shared: arguments of `ImageSource` and `DataModule`.

    Raises:
        ConfigError: see `ImageSource` and `Table`.
    """

    def __init__(
        self,
        path: str,
        image: str,
        target: str | Sequence[str],
        root: str = "auto",
        task: str = "auto",
        target_transform: str = "none",
        missing: str | Sequence[str] | None = (),
        decimal: str | None = None,
        test_path: str | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(str(Path(path).expanduser().parent) if root == "auto" else root, **shared)
        cells = CellFormat(tuple(as_list(missing)), DECIMALS[decimal])
        self.tables = TableFiles(path, test_path, target, task, target_transform, cells)
        self.image = str(image)

    def read(self) -> dict[str, Examples]:
        """Return the images of each file: decoded, or as files if they do not fit in memory."""
        tables, self.target, targets = self.tables.read(self.model_spec.target if self.model_spec else None)
        self.report |= self.tables.left_out
        paths = [path for key, table in tables.items() for path in self.image_paths(key, table)]
        keys = np.repeat(list(tables), [len(table) for table in tables.values()])
        decoded = self.decode(paths, keys == "path")
        self.report_problems(decoded, keys)
        whole = self.examples(decoded, torch.cat([*targets.values()]), decoded.readable & (keys == "path"))
        positions = {key: np.flatnonzero(decoded.readable & (keys == key)) for key in tables}
        return {SPLITS[key]: whole.subset(torch.from_numpy(index)) for key, index in positions.items()}

    def image_paths(self, key: str, table: "pd.DataFrame") -> list[Path]:
        """Return the path of each row's image."""
        if self.image not in table.columns or self.image in self.tables.target_names:
            columns = [str(name) for name in table.columns if name not in self.tables.target_names]
            problem = f"data.{key} has no such column besides the target{did_you_mean(self.image, columns)}"
            raise config_error("data.image", self.image, problem, join_limited(columns, 30))
        names = table[self.image]
        if names.isna().any():
            rows = join_limited((row + 1 for row in names.index[names.isna()]), 5)
            problem = f"no file name in column {self.image}, row {rows}"
            raise config_error(f"data.{key}", self.tables.files[key], problem, "a file name in each row")
        return [self.root / to_text(name) for name in names]

    def report_problems(self, decoded: DecodedImages, keys: Any) -> None:
        """Raise an error that lists the missing and unreadable files, or count and log them."""
        broken = [f"{self.name_of(position)} ({text})" for position, text in decoded.errors.items()]
        self.report["skipped_files"] = len(broken)
        if broken and (self.on_error == "raise" or len(broken) == len(keys)):
            raise ConfigError(
                f"data.path={self.tables.files['path']}: {len(broken)} of {len(keys)} images cannot be read\n"
                f"  in {self.root}: {join_limited(broken, 5)}\n"
                "  accepted: readable files, data.root=FOLDER if they are elsewhere, or data.on_error=skip"
            )
        if broken:
            log.warning("data.on_error=skip: %d left out, cannot be read: %s", len(broken), join_limited(broken))
