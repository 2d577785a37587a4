"""Numbers as text: durations, and the accuracy of the simplest prediction beside a score."""

from collections.abc import Mapping
from typing import Any


def format_duration(seconds: float | None) -> str:
    """Return a duration in seconds, minutes or hours; an empty text for `None`."""
    if seconds is None:
        return ""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def format_baseline(baseline: Mapping[str, Any], metric: str) -> str:
    """Return a text such as ` (always 'no': 0.7620)`; nothing for a metric without a baseline.

    Args:
        baseline: as in `result.json`: the majority class, and the accuracy of predicting it by metric.
        metric: such as `test/acc`.
    """
    share = baseline.get(metric)
    return f" (always '{baseline.get('class')}': {share:.4f})" if isinstance(share, float) else ""
