"""Threads of which only one runs at a time."""

import threading
from collections.abc import Callable
from contextvars import copy_context


class JobThread:
    """Runs a function in its own thread, from `resume` until the function calls `pause` or ends.

    Attributes:
        paused: whether the function has called `pause`.
        error: the exception that ended the function, if any.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function
        self.resumed, self.stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.paused = False
        self.error: BaseException | None = None
        self.raised: BaseException | None = None
        context = copy_context()
        self.thread = threading.Thread(target=context.run, args=(self.run,), daemon=True)

    def run(self) -> None:
        """Run the function and store its error."""
        try:
            self.function()
        except BaseException as error:  # also SystemExit, which ends this job only
            self.error = error
        finally:
            self.stopped.release()

    def resume(self, error: BaseException | None = None) -> None:
        """Let the function run until it pauses or ends; an error is raised where it has paused."""
        self.paused, self.raised = False, error
        if self.thread.ident is None:
            self.thread.start()
        else:
            self.resumed.release()
        self.stopped.acquire()

    def pause(self) -> None:
        """Return control to the caller of `resume`, until it is called again; the function itself calls this."""
        self.paused = True
        self.stopped.release()
        self.resumed.acquire()
        if self.raised is not None:
            raise self.raised
