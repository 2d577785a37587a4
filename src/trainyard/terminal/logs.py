"""The log of a run: plain lines on the screen, dated lines in `run.log`."""

import io
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path

from trainyard.terminal.controls import EscapedStream, escape_controls
from trainyard.terminal.streams import discard

QUIET = ("lightning.pytorch", "lightning.fabric", "fsspec", "httpx", "urllib3")

# What the libraries say that nobody at the keyboard can act on, each by its text.
SILENCED = (
    r"The number of training batches .* is smaller than the logging interval",
    r"Experiment logs directory .* exists and is not empty",
    r"Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"You requested to overfit but enabled .* dataloader shuffling",  # the order is fixed all the same
    r"Found \d+ module\(s\) in eval mode at the start of training",  # what is frozen rests
    r"The `srun` command is available on your system",  # one process needs none, and docs/cluster.md uses it for more
    r"Glyph \d+ .* missing from font",  # a class name in a script that matplotlib's font lacks: a box stands there
    r"You are using `torch.load` with `weights_only=False`",
)


def print_anything() -> None:
    """Let a terminal that lacks a character, such as ±, show a question mark, and keep names from controlling it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.filterwarnings("ignore", message=r"Glyph \d+ ")  # of matplotlib, which prints the character
    if isinstance(sys.stdout, io.TextIOBase):
        sys.stdout = EscapedStream(sys.stdout)  # type: ignore[arg-type]


class Screen(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints to whatever `sys.stdout` is at that moment, so that what redirects it is obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, without control characters."""
        return escape_controls(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, unless a display shows it already; tracebacks are for the file."""
        if not getattr(record, "displayed", False):
            self.stream = sys.stdout
            shown = copy(record)
            shown.exc_info = shown.exc_text = None
            super().emit(shown)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Print no more where that fails, and no traceback about it: the log is in the file too."""
        if isinstance(sys.exc_info()[1], OSError):
            with suppress(OSError, ValueError):
                discard(sys.stdout.fileno())
        else:
            super().handleError(record)


class LogFile(logging.FileHandler):
    """Writes to a file; what the disk does not take is left out, since a log is no reason to end a run."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without control characters."""
        return escape_controls(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say nothing; the screen has shown it."""

    def close(self) -> None:
        """Close the file, whether it takes the last lines or not."""
        with suppress(OSError):
            super().close()


def open_log(path: Path, first: bool = True) -> list[logging.Handler]:
    """Send the log to `path` and to the screen; return the handlers for `close_log`.

    A process that is not the `first` of its run adds its warnings and errors to the file alone.
    """
    file = LogFile(path, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [file]
    if first:
        handlers.append(Screen())
    else:
        file.setLevel(logging.WARNING)
    attach(handlers)
    return handlers


def attach(handlers: Sequence[logging.Handler]) -> None:
    """Send the log to the handlers, and keep from it what the libraries say to nobody's use."""
    connect(handlers)
    logging.getLogger("trainyard").setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for text in SILENCED:
        warnings.filterwarnings("ignore", message=text)


@contextmanager
def log_to_screen() -> Iterator[None]:
    """Print log messages; to be entered after Lightning is imported, which sets the level of its own loggers then."""
    handlers = [Screen()]
    attach(handlers)
    try:
        yield
    finally:
        close_log(handlers)


def close_log(handlers: Sequence[logging.Handler]) -> None:
    """Undo `open_log`, or `attach`."""
    logging.captureWarnings(False)
    disconnect(handlers)
    for handler in handlers:
        handler.close()


def connect(handlers: Sequence[logging.Handler]) -> None:
    """Send to them what is logged."""
    for handler in handlers:
        logging.getLogger().addHandler(handler)


def disconnect(handlers: Sequence[logging.Handler]) -> None:
    """Send to them no more."""
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


@contextmanager
def muted(handlers: Sequence[logging.Handler]) -> Iterator[None]:
    """Keep a log that is open from what others say in the meantime."""
    disconnect(handlers)
    try:
        yield
    finally:
        connect(handlers)
        logging.captureWarnings(True)


@contextmanager
def heard(handlers: Sequence[logging.Handler]) -> Iterator[None]:
    """Send what is said to a log that was muted."""
    connect(handlers)
    try:
        yield
    finally:
        disconnect(handlers)
