"""Standard output and error that work with a closed descriptor, a full disk and a pipe without a reader.

Commands use this module before they import anything else, so it imports only the standard library.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

lost: list[OSError] = []  # the error, if standard output could not be written


class Stream(io.FileIO):
    """A standard stream; after the first error, all output is discarded.

    Args:
        descriptor: 1 or 2.
        on_error: called once, with the error.
    """

    def __init__(self, descriptor: int, on_error: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.on_error = on_error

    def write(self, data: Any) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            discard(self.fileno())
            self.on_error(error)
            return len(data)


def discard(descriptor: int) -> None:
    """Redirect a file descriptor to the null device, also for what Python flushes at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def robust_streams(required: bool) -> Iterator[None]:
    """Discard output that cannot be written: to a closed descriptor, a full disk, or a pipe without a reader.

    Args:
        required: whether to raise an OSError if standard output cannot be written.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    if os.name == "posix":
        open_closed(required)
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stderr = wrap_stream(2, sys.stderr, sys.__stderr__, lambda error: None)
        sys.stdout = wrap_stream(1, sys.stdout, sys.__stdout__, raise_lost if required else report_lost)
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def open_closed(required: bool) -> None:
    """Open closed descriptors; otherwise the next file to be opened would become standard output."""
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY if required else os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # gets the lowest free number; writing to a file opened for reading fails
            os.set_inheritable(descriptor, True)


def wrap_stream(descriptor: int, stream: Any, original: Any, on_error: Callable[[OSError], None]) -> TextIO:
    """Return a standard stream that discards output after an error; a replaced stream is returned unchanged."""
    if stream is not original:
        return stream  # type: ignore[no-any-return]
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
    if stream is not None:
        stream.flush()
        options |= {"encoding": stream.encoding, "line_buffering": stream.line_buffering}
        options["write_through"] = stream.write_through
    return io.TextIOWrapper(io.BufferedWriter(Stream(descriptor, on_error)), **options)


def raise_lost(error: OSError) -> None:
    """Record the error of standard output and raise it."""
    lost.append(error)
    raise error


def report_lost(error: OSError) -> None:
    """Print that standard output cannot be written."""
    print(f"stdout cannot be written ({error.strerror}): the run continues, see its run.log", file=sys.stderr)
