"""The signals by which people and schedulers end a run: at its next step while it trains, else at once."""

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn

log = logging.getLogger(__name__)

ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # Windows has but the first two
WANTED = ("SIGUSR1", "SIGUSR2")  # whoever has a handler for them, such as a launcher, gets them when all is saved


class Interrupted(SystemExit):
    """A signal ended the run, which was saved; the exit code is the one that shells and schedulers know it by."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


received: list[int] = []  # signals that ended the command of this process


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal that ends a command.

    Raises:
        KeyboardInterrupt: it is SIGINT.
        Interrupted: it is another.
    """
    received.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Interrupted(number)


class Signals:
    """Hears the signals; a context manager.

    Attributes:
        first: the signal that came first, or `None`.
        caught: the signal that is to end training, or `None`.
        deferring: whether a step will come that looks at `caught`. A second Ctrl-C is not deferred.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.caught: int | None = None
        self.deferring = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():  # the only one that hears
            numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
            self.before = {number: signal.getsignal(number) for number in numbers}
            self.before = {number: handler for number, handler in self.before.items() if self.concerns(number, handler)}
        self.listen()
        return self

    @staticmethod
    def concerns(number: int, handler: Any) -> bool:
        """Whether a signal is ours: not one that is ignored, and of the user's the second if somebody listens."""
        return handler != signal.SIG_IGN and (callable(handler) or number != getattr(signal, "SIGUSR2", None))

    def listen(self) -> None:
        """Take the signals, also after someone else has taken them; only in the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in self.before:
                signal.signal(number, self.hear)

    def defer(self, steps_come: bool) -> None:
        """Say whether there are steps that will look at what is caught."""
        self.deferring = steps_come
        if steps_come:
            self.listen()

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or leave."""
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
        """End the run, after whoever wanted the signal has it.

        Raises:
            Interrupted: always.
        """
        self.deferring = False
        handler = self.before.get(number)
        if signal.Signals(number).name in WANTED and callable(handler):
            handler(number, None)
        raise Interrupted(number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.before.items():
                if handler is not None:
                    signal.signal(number, handler)
