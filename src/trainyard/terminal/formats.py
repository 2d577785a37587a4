"""Numbers as text: durations, the accuracy of the simplest prediction beside a score, and curves in one line."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = "▁▂▃▄▅▆▇█"


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def format_baseline(baseline: Mapping[str, Any], metric: str) -> str:
    """Return a string such as ` (always 'no': 0.7620)`; empty for a metric without a baseline.

    Args:
        baseline: as in `result.json`: the majority class, and the accuracy of predicting it by metric.
        metric: such as `test/acc`.
    """
    share = baseline.get(metric)
    return f" (always '{baseline.get('class')}': {share:.4f})" if isinstance(share, float) else ""


def sparkline(values: ArrayLike, width: int) -> str:
    """Draw a curve from its lowest to its highest value; values that are not finite become spaces.

    Args:
        values: at least one value, equally spaced.
        width: maximum number of characters; if there are more values, neighbours are averaged.
    """
    curve = np.asarray(values, dtype=float)
    points = [float(part.mean()) for part in np.array_split(curve, min(width, len(curve)))]
    finite = [point for point in points if math.isfinite(point)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    heights = [(point - low) / (high - low) if high > low else 0.5 + 0 * point for point in points]
    return "".join(BLOCKS[round(height * 7)] if math.isfinite(height) else " " for height in heights)
