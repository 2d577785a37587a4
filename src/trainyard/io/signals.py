"""Signals that end a run: at its next step while it trains, otherwise at once."""

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any, NoReturn

log = logging.getLogger(__name__)

ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # Windows has only the first two
CHILD_SECONDS = 5  # that a forked process continues after SIGTERM
FORWARDED = ("SIGUSR1", "SIGUSR2")  # previous handlers, such as a launcher's, get them after the run is saved


class Interrupted(SystemExit):
    """A signal ended the run, which was saved; the exit code is that of a process killed by the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


received: list[int] = []  # signals that ended the command of this process


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End a command: raise a KeyboardInterrupt for SIGINT, else `Interrupted`."""
    received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Interrupted(number)


def in_main_thread() -> bool:
    """Return whether this is the main thread, the only one that can handle signals."""
    return threading.current_thread() is threading.main_thread()


class Signals:
    """Handles the signals; a context manager.

    Attributes:
        first: the first signal that was received, or `None`.
        caught: the signal that should end training, or `None`.
        deferring: whether a later step checks `caught`. A second Ctrl-C is never deferred.
        process: the process that handles them.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.caught: int | None = None
        self.deferring = False
        self.process: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        self.process = os.getpid()
        if in_main_thread():
            numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
            handlers = {number: signal.getsignal(number) for number in numbers}
            self.before = {number: handler for number, handler in handlers.items() if is_handled(number, handler)}
        self.install()
        return self

    def install(self) -> None:
        """Install the handlers, also after others have replaced them."""
        if in_main_thread():
            for number in self.before:
                signal.signal(number, self.handle)

    def defer(self, deferring: bool) -> None:
        """Set whether a later step checks `caught`."""
        self.deferring = deferring
        if deferring:
            self.install()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Defer a signal, or end the run; in a forked process, see `handle_in_child`."""
        if os.getpid() != self.process:
            handle_in_child(number)
            return
        again = self.caught is not None and number == signal.SIGINT
        self.first = self.first or number
        if self.deferring and not again:
            self.caught = self.first
            log.warning("%s: saving; Ctrl-C ends at once", signal.Signals(number).name)
            return
        self.deferring = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        self.leave(number)

    def leave(self, number: int) -> NoReturn:
        """Call the previous handler of a user signal, then raise `Interrupted`."""
        self.deferring = False
        handler = self.before.get(number)
        if signal.Signals(number).name in FORWARDED and callable(handler):
            handler(number, None)
        raise Interrupted(number)

    def __exit__(self, *error: object) -> None:
        if in_main_thread():
            for number, handler in self.before.items():
                if handler is not None:
                    signal.signal(number, handler)


def handle_in_child(number: int) -> None:
    """Ignore a signal in a forked process that inherited the handler, such as a worker of a DataLoader.

    A signal to the process group reaches it too, but the run still needs its batches in order to save. SIGTERM, by
    which the run itself ends it, is obeyed some seconds later.
    """
    if number == signal.SIGTERM:
        signal.setitimer(signal.ITIMER_REAL, CHILD_SECONDS)  # SIGALRM ends the process


def is_handled(number: int, handler: Any) -> bool:
    """Return whether a run handles a signal: not an ignored one, and SIGUSR2 only if it already has a handler."""
    return handler != signal.SIG_IGN and (callable(handler) or number != getattr(signal, "SIGUSR2", None))
