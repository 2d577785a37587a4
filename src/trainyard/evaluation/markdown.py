"""Tables as Markdown, which TensorBoard and reports show."""

from collections.abc import Iterable, Sequence

from trainyard.terminal.controls import escape_controls


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; what would end a cell or a line in a text is taken out."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(content: object) -> str:
    """Return a text as one cell."""
    return escape_controls(" ".join(str(content).split()).replace("|", "\\|"), keep="")
