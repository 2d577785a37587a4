"""Signal handling, exit codes and lost output, which are the same for every command.

Only the standard library is imported, so that a Ctrl-C while the rest is imported is handled too.
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from trainyard.io.signals import Interrupted, interrupt, received
from trainyard.terminal.streams import lost, robust_streams

HANDLED = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last
PRINTING = ("-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")


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
    with robust_streams(prints_result):
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
