"""A curve in one line of text."""

import math

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN = "_.-~=+*#"  # for a stream that cannot show blocks; from low to high all the same


def sparkline(values: ArrayLike, width: int, encoding: str | None = "utf-8") -> str:
    """Draw a curve in at most `width` characters, its lowest value as the lowest character, its highest as the highest.

    Of more values than characters, neighbours are averaged. What is not finite is a space.

    Args:
        values: at equal distances, one at least.
        width: in characters, at least 1.
        encoding: of the stream that will show it.
    """
    curve = np.asarray(values, dtype=float)
    parts = np.array_split(curve, min(width, len(curve)))
    points = [float(part.mean()) for part in parts]
    finite = [point for point in points if math.isfinite(point)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    levels = BLOCKS if can_show(BLOCKS, encoding) else PLAIN
    top = len(levels) - 1
    heights = [(point - low) / (high - low) if high > low else 0.5 + 0 * point for point in points]
    return "".join(levels[round(h * top)] if math.isfinite(h) else " " for h in heights)


def can_show(text: str, encoding: str | None) -> bool:
    """Whether an encoding has all characters of a text."""
    try:
        text.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
