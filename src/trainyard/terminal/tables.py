"""Tables as text and as Markdown, and escaping of Markdown."""

import re
from collections.abc import Collection, Iterable, Sequence

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
    from rich.cells import cell_len  # not every command prints a table

    lines = [["" if cell is None else escape_controls(str(cell), keep="") for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]

    def align(name: str, cell: str, width: int) -> str:
        space = " " * (width - cell_len(cell))  # wide characters take two columns
        return space + cell if name in right else cell + space

    texts = ["  ".join(map(align, columns, line, widths)).rstrip() for line in lines]
    return "\n".join(texts if any(columns) else texts[1:])


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
