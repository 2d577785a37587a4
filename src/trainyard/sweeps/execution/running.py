"""A job that runs in a process, and how that ended."""

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass
class Running:
    """A job that runs: its number, process, slot, and where its error's text arrives."""

    number: int
    process: Any
    slot: int
    hear: Connection


@dataclass(frozen=True)
class Ended:
    """How the process of a job ended: `error` is empty where all went well."""

    number: int
    error: str


def reason(job: Running) -> str:
    """Return why a job ended, or nothing where all went well."""
    try:
        if job.hear.poll():
            return str(job.hear.recv())
    except (EOFError, OSError):
        pass
    code = job.process.exitcode
    if code in (0, 128 + signal.SIGTERM):  # asked to stop, it has saved and said so
        return ""
    if code is not None and code < 0:
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}"
    return f"its process ended with code {code}"
