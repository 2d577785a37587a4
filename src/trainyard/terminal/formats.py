"""Numbers as text: durations, the accuracy of the simplest prediction beside a score, and curves in one line."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BLOCKS = "▁▂▃▄▅▆▇█"
NOISE, SMALLEST, LARGEST = 1e-12, 5e-5, 1e9  # limits of scores that are not shown with four decimals


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def format_score(value: float) -> str:
    """Return a score with four decimals, without a sign before zero; an error in other units has more or less of them.

    Scores from 0.0001 to 1e9 have four decimals, smaller errors three significant digits and larger numbers five.
    """
    if NOISE < value < SMALLEST:
        return f"{value:.3g}"
    if abs(value) >= LARGEST:
        return f"{value:.5g}"
    return f"{value:.4f}".replace("-0.0000", "0.0000")


def format_baseline(baseline: Mapping[str, Any], metric: str) -> str:
    """Return a string such as ` (always 'no': 0.7620)`; empty for a metric without a baseline.

    Args:
        baseline: as in `result.json`: a constant prediction, and its scores by metric.
        metric: such as `test/acc`.
    """
    score = baseline.get(metric)
    return f" ({describe_prediction(baseline)}: {format_score(score)})" if isinstance(score, float) else ""


def describe_prediction(baseline: Mapping[str, Any]) -> str:
    """Return the constant prediction of a baseline, such as "always 'no'" or "always the mean 36.2"."""
    if "class" in baseline:
        return f"always '{baseline['class']}'"
    for name in ("mean", "labels"):
        if isinstance(values := baseline.get(name), list):
            texts = [f"{value:.4g}" if isinstance(value, int | float) else str(value) for value in values]
            return f"always the {name} {';'.join(texts)}" if texts else f"always no {name}"
    return "baseline"


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
