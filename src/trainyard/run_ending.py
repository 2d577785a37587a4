"""How a run ended, by the error that ended it."""

import errno
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from trainyard.files import MIB
from trainyard.signals import Interrupted

FULL = (errno.ENOSPC, errno.EDQUOT)
AGAIN = "the same command when there is space again"


def ending(error: BaseException | None, pruned: bool) -> tuple[str, str | None]:
    """Return the status of a run, and the reason that is worth telling.

    Args:
        error: that ended it; `None` where it came to its end. On a full disk it can go on when there is space again.
        pruned: whether others of its sweep did better, which was its end.
    """
    if error is None:
        return "pruned" if pruned else "completed", None
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted", None
    return "interrupted" if is_disk_full(error) else "failed", f"{type(error).__name__}: {error}"


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk or a quota is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and (error.errno in FULL or " requested and " in str(error)):  # numpy: no errno
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk(folder: Path) -> str:
    """Return the text "the disk is full", with the free space."""
    space = ""
    with suppress(OSError):
        there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        space = f" ({shutil.disk_usage(there).free / MIB:.1f} MiB free)"
    return f"the disk is full{space}"


def interruption(error: BaseException | None, signum: int | None) -> BaseException | None:
    """Return `Interrupted` if a signal has ended a run, whichever error a library raised because of it, else the error.

    Lightning exits with 1 at a Ctrl-C; a worker process that the signal has ended too is a RuntimeError.

    Args:
        error: that was raised; `None` for none.
        signum: the first signal that the run received, or `None`.
    """
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        return Interrupted(signum or signal.SIGINT)
    if isinstance(error, Exception) and signum:
        return Interrupted(signum)
    return error
