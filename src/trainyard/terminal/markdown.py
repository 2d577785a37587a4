"""Text and tables as Markdown, for TensorBoard, reports and model cards."""

import re
from collections.abc import Iterable, Sequence

from trainyard.terminal.controls import escape_controls

# An underscore inside a word has no meaning; `|` has one in tables only, see `markdown_cell`.
SPECIAL = re.compile(r"[\\`*~\[\]<>&$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.")


def markdown_table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; line breaks and `|` in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)


def markdown_cell(content: object) -> str:
    """Return a text as one cell of a table, without control characters."""
    return escape_controls(" ".join(str(content).split()).replace("|", "\\|"), keep="")


def escape_markdown(text: object) -> str:
    """Return a text as one line that is shown literally: without links, pictures, HTML, emphasis or headings."""
    line = " ".join(str(text).split())
    return SPECIAL.sub(r"\\\g<0>", "".join(sign for sign in line if sign.isprintable()))
