"""Batches of images and rows to predict, read as in training."""

import os
import sys
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.images.image_files import read_image, suppress_warnings
from trainyard.data.images.pixel_values import ValueRange
from trainyard.data.loading.forward_cost import most_examples
from trainyard.data.loading.spec import Column
from trainyard.data.tables.reading import nested_columns, read_rows, read_table
from trainyard.inference.prediction_inputs import STDIN, InputFile
from trainyard.io.errors import ConfigError, config_error, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from trainyard.inference.predict import Predictor

IMAGES, ROWS = 64, 8192  # in a batch; fewer images if they are large
THREADS = min(4, max(2, os.cpu_count() or 1))
MAX_CELL = 40  # characters of a cell in an error


@dataclass(frozen=True)
class InputBatch:
    """Consecutive inputs, of which M can be read."""

    names: Sequence[str]  # of all N inputs
    x: Tensor  # raw: images uint8 [M, C, H, W] or rows float32 [M, F]
    errors: Mapping[int, str]  # why each of the other N - M inputs cannot be read, by position


def input_batches(
    files: Sequence[InputFile], model: "Predictor", batch_size: int | None = None
) -> tuple[Generator[InputBatch, None, None], int]:
    """Return the batches of files that all have the model's kind, and the number of inputs."""
    spec = model.spec
    if spec.kind == "images":
        channels, height, width = spec.input_shape
        size = batch_size or min(IMAGES, most_examples(model, spec.input_shape))
        names = [file.name for file in files]
        return image_batches(names, (channels, height, width), size, spec.value_range), len(names)
    tables = [load_table(file.name, spec.columns) for file in files]
    return table_batches(tables, spec.columns, batch_size or ROWS), sum(len(table.frame) for table in tables)


def image_batches(
    names: Sequence[str], shape: tuple[int, int, int], batch_size: int, value_range: ValueRange = ()
) -> Generator[InputBatch, None, None]:
    """Yield batches of image files, read as in training, uint8 `[B, C, H, W]`."""

    def read(name: str) -> NDArray[np.uint8] | str:
        """Return the image in a file, or the reason why it cannot be read."""
        try:
            return read_image(Path(name), shape, value_range)
        except OSError as error:
            return str(error).removeprefix(f"{Path(name)}: ")

    # Each thread saves and restores the warning filters of the process, in any order; the outer block restores them.
    with suppress_warnings(), ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(names), batch_size):
            group = names[start : start + batch_size]
            results = list(pool.map(read, group))
            images = [image for image in results if not isinstance(image, str)]
            x = torch.from_numpy(np.stack(images)) if images else torch.empty((0, *shape), dtype=torch.uint8)
            yield InputBatch(group, x, {i: reason for i, reason in enumerate(results) if isinstance(reason, str)})


@dataclass(frozen=True)
class InputTable:
    """The rows of a table."""

    name: str
    frame: "pd.DataFrame"


def load_table(name: str, columns: Sequence[Column]) -> InputTable:
    """Read a table as in training; `-` is standard input."""
    with TemporaryDirectory(prefix="trainyard-") as folder:
        path = Path(name)
        if name == STDIN:
            name, path = "stdin", Path(folder) / "stdin.csv"
            path.write_bytes(sys.stdin.buffer.read())
        try:
            frame = read_table(path, "INPUT")
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(path), name)) from error
        nested = nested_columns(path)
    headers = list(dict.fromkeys(column.header for column in columns))
    others = [header for header in frame.columns if header not in headers]
    problems = [f"no column {header}{did_you_mean(header, others)}" for header in headers if header not in frame]
    problems += [f"column {header} of nested values ({nested[header]})" for header in headers if header in nested]
    if problems:
        raise config_error("INPUT", name, "; ".join(problems), f"the model's columns: {', '.join(headers)}")
    return InputTable(name, frame)


def table_batches(
    tables: Sequence[InputTable], columns: Sequence[Column], batch_size: int
) -> Generator[InputBatch, None, None]:
    """Yield rows of tables, float32 `[B, F]`, named by their number from 1, or `FILE:NUMBER` for several tables."""
    for table in tables:
        prefix = f"{table.name}:" if len(tables) > 1 else ""
        for start in range(0, len(table.frame), batch_size):
            x, errors = encode_rows(table.frame[start : start + batch_size], columns)
            names = [f"{prefix}{number}" for number in range(start + 1, start + len(x) + 1)]
            readable = [position for position in range(len(x)) if position not in errors]
            yield InputBatch(names, torch.from_numpy(x[readable] if errors else x), errors)


def encode_rows(frame: "pd.DataFrame", columns: Sequence[Column]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return rows as model inputs, `[N, F]`, and by position the cells that are not numbers or dates.

    A missing number is NaN; a category is its code, 0 for a missing or unknown one.
    """
    x, invalid = read_rows(frame, columns)
    problems: dict[int, list[str]] = {}
    for column in {column.header: column for column in columns}.values():
        for position in np.flatnonzero(invalid[column.header]):
            text = str(frame[column.header].iloc[position]).strip()
            text = text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
            kind = "date" if column.part else "number"
            problems.setdefault(int(position), []).append(f"{column.header} is not a {kind}: {text}")
    return x.astype(np.float32), {position: "; ".join(texts) for position, texts in problems.items()}
