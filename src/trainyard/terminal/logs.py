"""The log of a run: plain messages on the screen, and messages with date, level and logger in `run.log`."""

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

WARNINGS_ONLY = ("lightning.pytorch", "lightning.fabric", "fsspec", "httpx", "urllib3")  # loggers
IGNORED_WARNINGS = (  # of libraries; there is nothing that the user could change
    r"The number of training batches .* is smaller than the logging interval",
    r"Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"You requested to overfit but enabled .* dataloader shuffling",  # the order of the examples is fixed anyway
    r"Found \d+ module\(s\) in eval mode at the start of training",  # frozen layers
    r"The `srun` command is available on your system",  # one process does not need it; docs/cluster.md explains more
    r"Glyph \d+ .* missing from font",  # matplotlib draws a box instead
)


def prepare_output() -> None:
    """Escape control characters in all output, and print "?" for characters that the terminal cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.filterwarnings("ignore", message=r"Glyph \d+ ")  # matplotlib's warning contains the character
    if isinstance(sys.stdout, io.TextIOBase):
        sys.stdout = EscapedStream(sys.stdout)  # type: ignore[arg-type]


class EscapedFormatter(logging.Formatter):
    """Escapes control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return escape_controls(super().format(record))


class ScreenHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints to the current `sys.stdout`, which may be redirected at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(EscapedFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record without its traceback, unless a progress bar displays it already."""
        if not getattr(record, "displayed", False):
            self.stream = sys.stdout
            printed = copy(record)
            printed.exc_info = printed.exc_text = None
            super().emit(printed)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Stop printing if the screen cannot be written: the log is in the file too."""
        if isinstance(sys.exc_info()[1], OSError):
            with suppress(OSError, ValueError):
                discard(sys.stdout.fileno())
        else:
            super().handleError(record)


class RunLogHandler(logging.FileHandler):
    """Appends to `run.log`; errors are ignored, because a run should not fail for its log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(EscapedFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Do nothing: the screen has shown the record."""

    def close(self) -> None:
        """Close the file, even if its last lines cannot be written."""
        with suppress(OSError):
            super().close()


def open_log(path: Path, is_rank_zero: bool = True) -> list[logging.Handler]:
    """Log to a file and the screen; return the handlers for `close_log`.

    Processes of other ranks log only warnings and errors, and only to the file.
    """
    file = RunLogHandler(path)
    file.setLevel(logging.NOTSET if is_rank_zero else logging.WARNING)
    handlers: list[logging.Handler] = [file, *([ScreenHandler()] if is_rank_zero else [])]
    start_logging(handlers)
    return handlers


def start_logging(handlers: Sequence[logging.Handler]) -> None:
    """Add handlers, set the levels of all loggers, and ignore warnings that the user cannot act on."""
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    logging.getLogger("trainyard").setLevel(logging.INFO)
    for name in WARNINGS_ONLY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    for text in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=text)


def close_log(handlers: Sequence[logging.Handler]) -> None:
    """Remove and close the handlers of `start_logging`."""
    logging.captureWarnings(False)
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
        handler.close()


@contextmanager
def log_to_screen() -> Iterator[None]:
    """Print log messages. Enter it after importing Lightning, which sets the levels of its loggers."""
    handlers = [ScreenHandler()]
    start_logging(handlers)
    try:
        yield
    finally:
        close_log(handlers)
