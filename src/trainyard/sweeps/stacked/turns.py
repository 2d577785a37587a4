"""Functions that run in turns, in threads of which one runs at a time."""

import threading
from collections.abc import Callable
from contextvars import copy_context


class Turn:
    """A function in a thread of its own: it runs while others wait, until it waits itself or is done.

    Attributes:
        waits: whether it has called `wait`, and not gone on since.
        error: what it raised, if it did.

    Args:
        function: to run.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function
        self.mine, self.theirs = threading.Semaphore(0), threading.Semaphore(0)
        self.waits = False
        self.error: BaseException | None = None
        self.thrown: BaseException | None = None
        context = copy_context()
        self.thread = threading.Thread(target=context.run, args=(self.run,), daemon=True)

    def run(self) -> None:
        """Run the function, and hand over when it is done."""
        try:
            self.function()
        except BaseException as error:  # SystemExit too: it ends this function, not the others
            self.error = error
        finally:
            self.theirs.release()

    def go(self, thrown: BaseException | None = None) -> None:
        """Let it run until it waits or is done; with an error, that is raised where it waits."""
        self.waits, self.thrown = False, thrown
        if self.thread.ident is None:
            self.thread.start()
        else:
            self.mine.release()
        self.theirs.acquire()

    def wait(self) -> None:
        """Called by the function: let the others run until `go`, and raise what that throws."""
        self.waits = True
        self.theirs.release()
        self.mine.acquire()
        if self.thrown is not None:
            raise self.thrown
