"""How much is predicted already, where somebody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress(total: int | None, rows_on_screen: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal of stderr, if it is one; yields what is called with the number of those done since.

    Args:
        total: how many there are, if that is known.
        rows_on_screen: whether what is predicted shows there itself, and the bar would be in its way.
    """
    bar = Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=rows_on_screen or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda number: bar.advance(task, number)
