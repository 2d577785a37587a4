"""Where predictions are written: a file that is there whole or not at all, or the screen."""

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trainyard.errors import reject
from trainyard.files import check_path, replacing
from trainyard.terminal.controls import EscapedStream, unescaped

ACCEPTED = "a file in a folder that is there, which is none of the inputs"


def check_output(output: Path, inputs: Iterable[Path]) -> Path:
    """Return the file that a path leads to.

    Args:
        output: as it was typed.
        inputs: files that must stay as they are.

    Raises:
        ConfigError: no file can be written there, or it is one of the inputs.
    """
    check_path("--output", str(output))
    path = output.expanduser().resolve()
    if not path.parent.is_dir():
        raise reject("--output", output, f"there is no folder {path.parent}", ACCEPTED)
    if path.exists() and not path.is_file():
        raise reject("--output", output, "a folder" if path.is_dir() else "no regular file", ACCEPTED)
    if any(other.exists() and path.exists() and path.samefile(other) for other in inputs):
        raise reject("--output", output, "it is one of the inputs", ACCEPTED)
    return path


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Open a file that takes its name when all is written; without a path, the screen.

    Raises:
        ConfigError: the file cannot be written.
        OSError: the screen cannot.
    """
    try:
        with screen() if path is None else whole_file(path) as stream:
            yield stream
    except OSError as error:
        if path is None:
            raise
        problem = f"cannot be written ({error.strerror or error})"
        raise reject("--output", path, problem, "a place that can") from error


@contextmanager
def screen() -> Iterator[TextIO]:
    """Make the screen, or what it leads to, take the same characters as a file, but no control characters."""
    stream = unescaped(sys.stdout)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
    yield EscapedStream(stream) if stream.isatty() else stream  # type: ignore[misc]
    stream.flush()


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Yield a text file that replaces `path` when it is complete."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        yield file
