"""How a run ended, by the error that ended it."""

import signal

from trainyard.io.resources import is_disk_full
from trainyard.io.signals import Interrupted


def ending(error: BaseException | None, pruned: bool) -> tuple[str, str | None]:
    """Return the status of a run, and the reason of a failure.

    Args:
        error: the error that ended the run; `None` if it finished. A full disk counts as an interruption: the run can
            resume when there is space again.
        pruned: whether the pruner of its sweep stopped it.
    """
    if error is None:
        return "pruned" if pruned else "completed", None
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted", None
    return "interrupted" if is_disk_full(error) else "failed", f"{type(error).__name__}: {error}"


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
