"""Writes predictions as CSV, to stdout or to a file that is complete or absent."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from trainyard.csv_text import csv_writer, escape_formula
from trainyard.errors import reject
from trainyard.files import check_path, replacing
from trainyard.terminal.controls import EscapedStream, unescaped

if TYPE_CHECKING:
    from trainyard.inference.predict import PredictedBatch

ACCEPTED = "a file in an existing folder that is not one of the inputs"


class PredictionsCSV:
    """Writes a row for each input: `input,prediction,<class>...`.

    Attributes:
        rows: number of rows that were written.
        failed: number of rows with an error.

    Args:
        stream: to write to.
        classes: names of the classes.
    """

    def __init__(self, stream: TextIO, classes: Sequence[str]) -> None:
        self.writer = csv_writer(stream)
        self.writer.writerow(header(classes))
        self.classes = np.array([escape_formula(name) for name in classes], dtype=object)
        self.rows = 0
        self.failed = 0

    def write(self, batch: "PredictedBatch") -> None:
        """Write the predictions of a batch; a row with an error has no probabilities."""
        predictions = self.classes[batch.probabilities.argmax(axis=1)]
        shares = batch.probabilities.astype(str).astype(object)  # all digits of float32
        for position, problem in batch.errors.items():
            predictions[position] = f"error: {problem}"
            shares[position] = ""
        rows = zip(map(escape_formula, batch.names), predictions, shares, strict=True)
        self.writer.writerows([name, prediction, *row] for name, prediction, row in rows)
        self.rows += len(batch.names)
        self.failed += len(batch.errors)


def header(classes: Sequence[str]) -> list[str]:
    """Return unique names of the columns."""
    names = ["input", "prediction"]
    for name in map(str, map(escape_formula, classes)):
        while name in names:
            name = f"class {name}"
        names.append(name)
    return names


def check_output(output: Path, inputs: Iterable[Path]) -> Path:
    """Return the resolved path of a file to write.

    Raises:
        ConfigError: no file can be written there, or it is one of the inputs.
    """
    check_path("--output", str(output))
    path = output.expanduser().resolve()
    if not path.parent.is_dir():
        raise reject("--output", output, f"no such folder: {path.parent}", ACCEPTED)
    if path.exists() and not path.is_file():
        raise reject("--output", output, "a folder" if path.is_dir() else "not a regular file", ACCEPTED)
    if any(other.exists() and path.exists() and path.samefile(other) for other in inputs):
        raise reject("--output", output, "it is one of the inputs", ACCEPTED)
    return path


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open a file that replaces `path` when it is complete; without a path, stdout.

    Raises:
        ConfigError: the file cannot be written.
        OSError: stdout cannot be written.
    """
    if path is None:
        with open_stdout() as stream:
            yield stream
        return
    try:
        with replacing(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise reject("--output", path, problem, "a path that can be written") from error


@contextmanager
def open_stdout() -> Iterator[TextIO]:
    """Yield stdout with the encoding of a file; on a terminal, control characters are escaped."""
    stream = unescaped(sys.stdout)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    yield EscapedStream(stream) if stream.isatty() else stream  # type: ignore[misc]
    stream.flush()
