"""How a run ended, by the error that ended it."""

import errno
import signal

from trainyard.signals import Interrupted


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
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    return "interrupted" if full else "failed", f"{type(error).__name__}: {error}"


def interruption(error: BaseException | None, signum: int | None) -> BaseException | None:
    """Return what ends a run: `Interrupted` in place of what libraries make of a signal, else the error itself.

    Lightning exits with 1 at a Ctrl-C; a worker process that the signal has ended too is a RuntimeError.

    Args:
        error: that came; `None` for none.
        signum: the first signal that the run received, or `None`.
    """
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        return Interrupted(signum or signal.SIGINT)
    if isinstance(error, Exception) and signum:
        return Interrupted(signum)
    return error
