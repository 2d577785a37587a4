"""A curve in one line of text."""

import math

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: ArrayLike, width: int) -> str:
    """Draw a curve in at most `width` characters, from its lowest to its highest value.

    If there are more values than characters, neighbours are averaged. Values that are not finite become spaces.

    Args:
        values: at least one value, equally spaced.
        width: number of characters, at least 1.
    """
    curve = np.asarray(values, dtype=float)
    points = [float(part.mean()) for part in np.array_split(curve, min(width, len(curve)))]
    finite = [point for point in points if math.isfinite(point)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    heights = [(point - low) / (high - low) if high > low else 0.5 + 0 * point for point in points]
    return "".join(BLOCKS[round(height * 7)] if math.isfinite(height) else " " for height in heights)
