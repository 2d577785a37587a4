"""How a run ended, by the error that ended it."""

import errno
import signal


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


def set_exit_code(error: BaseException | None) -> None:
    """Have a Ctrl-C end with the exit code by which shells know it; Lightning has made it 1."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        error.code = 128 + signal.SIGINT
