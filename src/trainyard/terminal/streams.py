"""Standard output and error that survive a closed descriptor, a full disk and a pipe without a reader.

Only the standard library is imported, so that this comes before everything else.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

lost: list[OSError] = []  # why standard output could not be written


class Stream(io.FileIO):
    """A standard stream; after the first error, all output is discarded.

    Args:
        descriptor: 1 or 2.
        failed: called once, with the error.
    """

    def __init__(self, descriptor: int, failed: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failed = failed

    def write(self, data: Any) -> int:
        """Write bytes."""
        try:
            return super().write(data)
        except OSError as error:
            discard(self.fileno())
            self.failed(error)
            return len(data)


def discard(descriptor: int) -> None:
    """Redirect a file descriptor to the null device, also for what Python flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def robust_streams(required: bool) -> Iterator[None]:
    """Handle a standard output or error that is closed, on a full disk, or a pipe without a reader.

    Args:
        required: whether to raise an OSError where standard output cannot be written.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    if os.name == "posix":
        open_closed(required)
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stderr = wrapped(2, sys.stderr, sys.__stderr__, lambda error: None)
        sys.stdout = wrapped(1, sys.stdout, sys.__stdout__, raise_lost if required else report_lost)
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def open_closed(required: bool) -> None:
    """Open the descriptors that are closed, or the next file to be opened would be standard output."""
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY if required else os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free; written to a file for reading, it fails
            os.set_inheritable(descriptor, True)


def wrapped(descriptor: int, stream: Any, original: Any, failed: Callable[[OSError], None]) -> TextIO:
    """Return a standard stream that survives errors; one that a program has replaced, as it is."""
    if stream is not original:
        return stream  # type: ignore[no-any-return]
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
    if stream is not None:
        stream.flush()
        options |= {"encoding": stream.encoding, "line_buffering": stream.line_buffering}
        options["write_through"] = stream.write_through
    return io.TextIOWrapper(io.BufferedWriter(Stream(descriptor, failed)), **options)


def raise_lost(error: OSError) -> None:
    """Record the error of standard output and raise it."""
    lost.append(error)
    raise error


def report_lost(error: OSError) -> None:
    """Print that standard output cannot be written."""
    print(f"stdout cannot be written ({error.strerror}): the run continues, see its run.log", file=sys.stderr)
