"""A few lines at the foot of a terminal, redrawn by time."""

import atexit
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from trainyard.terminal.controls import unescaped

REDRAW_EVERY = 0.2  # seconds
WIDTH = 100  # columns at most: a longer bar tells no more


class Display:
    """Keeps what is drawn below all that is printed in the meantime, and removes it at the end.

    It appears with the first drawing. No thread redraws it: one that holds a lock while workers are forked would leave
    them locked, and the caller knows when there is something new.

    Attributes:
        due: when to draw next, in seconds of `time.monotonic`; never where no terminal is.
    """

    def __init__(self) -> None:
        self.console = Console(file=unescaped(sys.stdout))
        self.live = Live(console=self.console, auto_refresh=False, transient=True, redirect_stderr=sys.stderr.isatty())
        self.shown = sys.stdout.isatty() and self.console.is_interactive
        self.due = time.monotonic() + REDRAW_EVERY if self.shown else float("inf")

    def draw(self, lines: RenderableType) -> None:
        """Show new lines instead of those before."""
        if not self.live.is_started:
            self.live.start()
            atexit.register(self.close)  # a process that Lightning has spawned ends at a Ctrl-C without another word
        self.live.update(lines, refresh=True)
        self.due = time.monotonic() + REDRAW_EVERY

    def close(self) -> None:
        """Leave the terminal as it was: without the lines, and with a cursor."""
        self.live.stop()
        atexit.unregister(self.close)
        self.due = float("inf")

    def bar(self, label: str, share: float, *facts: str) -> Table:
        """Return a line: what is done, a bar that is filled to `share` (0 to 1), and facts at its right."""
        line = Table.grid(padding=(0, 2), expand=True)
        line.width = min(WIDTH, self.console.width - 1)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        for _ in facts:
            line.add_column(justify="right", no_wrap=True)
        line.add_row(label, ProgressBar(1, share, complete_style="cyan", finished_style="cyan"), *facts)
        return line


@contextmanager
def counting(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` are done; yields what is to be called with the number of those done since."""
    display, done = Display(), 0

    def add(number: int) -> None:
        nonlocal done
        done += number
        if time.monotonic() >= display.due:
            display.draw(display.bar(what, done / total, f"{done:,} of {total:,} {unit}"))

    try:
        yield add
    finally:
        display.close()
