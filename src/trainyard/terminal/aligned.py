"""Tables on a screen."""

from collections.abc import Sequence

from trainyard.terminal.controls import escape_controls


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose columns stand below each other."""
    rows = [[escape_controls(cell, keep="") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def headed(name: str, lines: Sequence[str]) -> list[str]:
    """Return lines with a name before the first, all of them as far from the left."""
    return [f"{'' if number else name:<10} {line}" for number, line in enumerate(lines)]
