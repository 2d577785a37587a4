"""Progress bars at the bottom of a terminal, redrawn at most five times a second."""

import atexit
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from trainyard.terminal.controls import unescaped

REDRAW_EVERY = 0.2  # seconds
MAX_WIDTH = 100  # columns


class Display:
    """A few lines below all other output, from the first call of `draw` until `close`.

    No thread redraws them: if workers are forked while it holds a lock, the lock stays locked in them.

    Attributes:
        visible: whether there is a terminal.
        due: when to draw next, in seconds of `time.monotonic`; infinite without a terminal.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stdout
        self.console = Console(file=unescaped(stream))
        self.live = Live(console=self.console, auto_refresh=False, transient=True, redirect_stderr=sys.stderr.isatty())
        self.visible = stream.isatty() and self.console.is_interactive
        self.due = time.monotonic() + REDRAW_EVERY if self.visible else float("inf")

    def draw(self, lines: RenderableType) -> None:
        """Replace the lines."""
        if not self.live.is_started:
            self.live.start()
            atexit.register(self.close)  # Ctrl-C ends a process that Lightning has spawned without an exception
        self.live.update(lines, refresh=True)
        self.due = time.monotonic() + REDRAW_EVERY

    def close(self) -> None:
        """Remove the lines and restore the cursor."""
        self.live.stop()
        atexit.unregister(self.close)
        self.due = float("inf")

    def bar(self, label: str, share: float, *texts: str) -> Table:
        """Return a line: a label, a bar that is filled to `share` (0 to 1), and texts on the right."""
        line = Table.grid(padding=(0, 2), expand=True)
        line.width = min(MAX_WIDTH, self.console.width - 1)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        for _ in texts:
            line.add_column(justify="right", no_wrap=True)
        line.add_row(label, ProgressBar(1, share, complete_style="cyan", finished_style="cyan"), *texts)
        return line


@contextmanager
def progress_counter(
    label: str, total: int, unit: str, stream: TextIO | None = None
) -> Iterator[Callable[[int], None]]:
    """Show a bar with the number of finished units, on stdout by default; yields a function that adds to it."""
    display, done = Display(stream), 0

    def add(number: int) -> None:
        nonlocal done
        done += number
        if time.monotonic() >= display.due:
            display.draw(display.bar(label, done / total, f"{done:,} of {total:,} {unit}"))

    try:
        yield add
    finally:
        display.close()
