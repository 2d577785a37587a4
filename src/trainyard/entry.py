"""Signal handling, exit codes and lost output, which are the same for every command.

Only the standard library is imported, so that a Ctrl-C while the rest is imported is handled too.
"""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from trainyard.signals import Interrupted, interrupt, received

HANDLED = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
PRINTING = ("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")

lost: list[OSError] = []  # why standard output could not be written


@contextmanager
def command(prints_result: bool = True) -> Iterator[None]:
    """Run a command: SIGINT, SIGTERM and SIGHUP end it with 130, 143 and 129; those that are ignored stay ignored.

    Args:
        prints_result: whether the printed output is the result of the command. If it cannot be written, the command
            exits with 1; a command that writes files continues, and prints one line about it.
    """
    received.clear()
    lost.clear()
    ours = handle_signals(interrupt)
    ended: BaseException | None = None
    with streams(prints_result):
        try:
            yield
        except BaseException as error:
            ended = error
        with suppress(OSError):
            sys.stdout.flush()
        for number in ours:
            signal.signal(number, exit_at_once)
        code = exit_code(ended)
    if code is not None:
        sys.exit(code)
    if ended is not None:
        raise ended


def exit_code(error: BaseException | None) -> int | None:
    """Return the exit code of a command that was interrupted, or whose output was lost, after saying so.

    Args:
        error: that ended the command, which may be one that a library raised because of the signal; `None` for none.
    """
    leaves = isinstance(error, SystemExit) and error.code
    by_keyboard = error is not None and KeyboardInterrupt in map(type, (error, error.__context__))
    if error is not None and (received or by_keyboard):
        if not leaves or leaves == 1 or (received and isinstance(error, Interrupted)):  # 1: Lightning's at a Ctrl-C
            print("interrupted", file=sys.stderr)
        return 128 + (received[0] if received else signal.SIGINT)
    if lost and not leaves:
        if lost[0].errno != errno.EPIPE:  # a closed pipe, as by `head`, is no error
            print(f"stdout cannot be written ({lost[0].strerror})", file=sys.stderr)
        return 1
    return None


def prints_result(words: list[str]) -> bool:
    """Whether `train.py` with these words only prints something."""
    return any(word.partition("=")[0] in PRINTING for word in words) or "sweep.plan=true" in words


def handle_signals(handler: Callable[..., Any]) -> list[int]:
    """Install a handler for the signals that have Python's default handler, and return their numbers."""
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = [getattr(signal, name) for name in HANDLED if hasattr(signal, name)]
    found = [number for number in numbers if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)]
    for number in found:
        signal.signal(number, handler)
    return found


def exit_at_once(number: int, frame: object) -> None:
    """Exit without cleanup on a signal that arrives while Python shuts down."""
    os._exit(128 + number)


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
def streams(required: bool) -> Iterator[None]:
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
