"""Jobs that run in a process, and how they ended."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from trainyard.signals import ENDING

SAVED = tuple(128 + getattr(signal, name) for name in ENDING if hasattr(signal, name))
UNFLUSHED = 120  # of Python, where the disk does not take the last lines of the console


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        number: of the job.
        error: empty where all went well.
        disk_full: whether it was interrupted since the disk is full.
    """

    number: int
    error: str
    disk_full: bool = False


@dataclass
class Running:
    """A process: the numbers of the jobs in it that have not ended, its slot, and where it says how one did."""

    numbers: list[int]
    process: Any
    slot: int
    hear: Connection

    def heard(self) -> Iterator[Ended]:
        """Yield the jobs that have ended by what the process says."""
        try:
            while self.numbers and self.hear.poll():
                ended = Ended(*self.hear.recv())
                self.numbers.remove(ended.number)
                yield ended
        except (EOFError, OSError):
            pass

    def left(self) -> Iterator[Ended]:
        """Yield the jobs of a process that is gone, those first of which it has said how they ended."""
        yield from self.heard()
        for number in self.numbers:
            yield Ended(number, reason(self.process.exitcode))
        self.numbers = []


def reason(code: int | None) -> str:
    """Return why a process ended that did not say so, or nothing where all went well."""
    if code in (0, UNFLUSHED, *SAVED):  # asked to stop, it has saved and said so
        return ""
    if code is not None and code < 0:
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}"
    return f"its process ended with code {code}"
