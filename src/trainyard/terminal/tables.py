"""Tables as text and as Markdown, and escaping of Markdown."""

import re
from collections.abc import Collection, Iterable, Sequence
from io import StringIO

from trainyard.terminal.controls import escape_controls

# An underscore inside a word has no meaning; `|` has one in tables only, see `markdown_cell`.
SPECIAL = re.compile(r"[\\`*~\[\]<>&$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str] = ()) -> str:
    """Return rows below the names of their columns; each column is as wide as its widest cell, and nothing is wrapped.

    Args:
        columns: names of the columns; all empty for a table without a header.
        rows: one cell for each column. `None` is an empty cell.
        right: names of the columns that are aligned to the right.
    """
    from rich.console import Console  # 60 ms, and not every command prints a table
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="", show_header=any(columns))
    for name in columns:
        grid.add_column(Text(name), justify="right" if name in right else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text("" if cell is None else escape_controls(str(cell), keep="")) for cell in row))
    console = Console(file=StringIO(), width=100_000, color_system=None)
    with console.capture() as output:
        console.print(grid)
    return "\n".join(line.rstrip() for line in output.get().rstrip("\n").split("\n"))


def markdown_table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; line breaks and `|` in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)


def markdown_cell(content: object) -> str:
    """Return a string as one cell of a Markdown table, without control characters."""
    return escape_controls(" ".join(str(content).split()).replace("|", "\\|"), keep="")


def escape_markdown(text: object) -> str:
    """Return a string as one line that Markdown shows literally: no links, pictures, HTML, emphasis or headings."""
    line = " ".join(str(text).split())
    return SPECIAL.sub(r"\\\g<0>", "".join(char for char in line if char.isprintable()))
