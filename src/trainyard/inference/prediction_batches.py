"""Batches of images and rows to predict, decoded just before they are needed."""

import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cells import read_rows
from trainyard.data.image_files import quiet, read_image
from trainyard.data.module import EVALUATED_PIXELS
from trainyard.data.pixel_values import Range
from trainyard.data.spec import Column, DataSpec
from trainyard.data.table_file import has_semicolons
from trainyard.inference.prediction_inputs import STDIN, InputFile
from trainyard.inference.table_chunks import TableFile

if TYPE_CHECKING:
    import pandas as pd

IMAGES, ROWS = 64, 8192  # in a batch; fewer images if they are large
THREADS = min(4, max(2, os.cpu_count() or 1))
AHEAD = 2  # batches that are decoded while the model predicts one
MAX_CELL = 40  # characters of a cell in an error

Decoded = NDArray[np.uint8] | str  # an image, or why it cannot be read


@dataclass(frozen=True)
class InputBatch:
    """Consecutive inputs.

    Attributes:
        names: of all N inputs.
        x: the M readable inputs, raw: images uint8 `[M, C, H, W]` or rows float32 `[M, F]`.
        errors: why each of the other N - M inputs cannot be read, by position.
    """

    names: Sequence[str]
    x: Tensor
    errors: Mapping[int, str]


@contextmanager
def open_batches(
    files: Sequence[InputFile], spec: DataSpec, batch_size: int | None = None
) -> Iterator[tuple[Iterator[InputBatch], int | None]]:
    """Yield the batches of files, all of the model's kind, and the number of inputs if it is known.

    Args:
        files: to predict.
        spec: of the model.
        batch_size: number of inputs in a batch; `None` for up to 64 images or 8192 rows.

    Raises:
        ConfigError: a table cannot be read, is empty, or lacks columns.
    """
    if spec.kind == "images":
        channels, height, width = spec.input_shape
        names = [file.name for file in files]
        size = batch_size or max(1, min(IMAGES, EVALUATED_PIXELS // (height * width)))
        with closing(image_batches(names, (channels, height, width), size, spec.value_range)) as batches:
            yield batches, len(names)
        return
    with stdin_file() if STDIN in [file.name for file in files] else nullcontext(Path()) as received:
        places = [(received, "stdin") if file.name == STDIN else (Path(file.name), file.name) for file in files]
        tables = [TableFile(path, name, spec.columns) for path, name in places]
        counts = [table.check() for table in tables]
        known = [count for count in counts if count is not None]
        with closing(table_batches(tables, batch_size or ROWS)) as batches:
            yield batches, sum(known) if len(known) == len(counts) else None


@contextmanager
def stdin_file() -> Iterator[Path]:
    """Copy standard input to a temporary file, since tables are read more than once."""
    with tempfile.TemporaryDirectory(prefix="trainyard-") as folder:
        path = Path(folder) / "stdin.csv"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def image_batches(
    names: Sequence[str], shape: tuple[int, int, int], batch_size: int, value_range: Range | None = ()
) -> Generator[InputBatch, None, None]:
    """Yield batches of image files as training reads them, uint8 `[B, C, H, W]`.

    At most `AHEAD` batches are in memory beside the yielded one.
    """
    groups = (names[start : start + batch_size] for start in range(0, len(names), batch_size))
    pool = ThreadPoolExecutor(THREADS)

    def submit(group: Sequence[str]) -> tuple[Sequence[str], list[Future[Decoded]]]:
        return group, [pool.submit(decode, name, shape, value_range) for name in group]

    # Each thread saves and restores the warning filters of the process, in any order; the outer block restores them.
    with quiet():
        try:
            waiting = deque(map(submit, islice(groups, AHEAD)))
            while waiting:
                group, futures = waiting.popleft()
                batch = image_batch(group, [future.result() for future in futures], shape)
                del futures
                waiting.extend(map(submit, islice(groups, 1)))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def decode(name: str, shape: tuple[int, int, int], value_range: Range | None) -> Decoded:
    """Return the image in a file, or why it cannot be read."""
    try:
        return read_image(Path(name), shape, value_range)
    except OSError as error:
        return str(error).removeprefix(f"{Path(name)}: ")


def image_batch(names: Sequence[str], images: Sequence[Decoded], shape: tuple[int, int, int]) -> InputBatch:
    """Return a batch of the images that could be read."""
    errors = {position: image for position, image in enumerate(images) if isinstance(image, str)}
    readable = [image for image in images if not isinstance(image, str)]
    x = torch.from_numpy(np.stack(readable)) if readable else torch.empty((0, *shape), dtype=torch.uint8)
    return InputBatch(names, x, errors)


def table_batches(tables: Sequence[TableFile], batch_size: int) -> Generator[InputBatch, None, None]:
    """Yield rows of tables, float32 `[B, F]`, named by their number from 1, or `FILE:NUMBER` with several tables."""
    for table in tables:
        prefix = f"{table.name}:" if len(tables) > 1 else ""
        semicolons = has_semicolons(table.path)
        done = 0
        for chunk in table.chunks(batch_size):
            x, errors = encode_rows(chunk, table.columns, semicolons)
            names = [f"{prefix}{number}" for number in range(done + 1, done + len(x) + 1)]
            readable = [position for position in range(len(x)) if position not in errors]
            yield InputBatch(names, torch.from_numpy(x[readable] if errors else x), errors)
            done += len(x)


def encode_rows(
    frame: "pd.DataFrame", columns: Sequence[Column], semicolons: bool = False
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Return rows as model inputs, `[N, F]`, and errors by position: cells that are not numbers or dates.

    A missing number is NaN; a category is its code, 0 for a missing or unknown one.
    """
    x, wrong = read_rows(frame, columns, semicolons)
    problems: dict[int, list[str]] = {}
    for column in {column.header: column for column in columns}.values():
        for position in np.flatnonzero(wrong[column.header]):
            text = str(frame[column.header].iloc[position]).strip()
            shown = text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
            kind = "date" if column.part else "number"
            problems.setdefault(int(position), []).append(f"{column.header} is not a {kind}: {shown}")
    return x.astype(np.float32), {position: "; ".join(found) for position, found in problems.items()}
