"""The accuracy of the simplest prediction, printed beside a score."""

from collections.abc import Mapping
from typing import Any


def beside_baseline(baseline: Mapping[str, Any], metric: str) -> str:
    """Return a text such as ` (always 'no': 0.7620)`; nothing for a metric without a baseline.

    Args:
        baseline: as in `result.json`, see `trainyard.data.loading.statistics.majority_baseline`.
        metric: such as `test/acc`.
    """
    share = baseline.get(metric)
    return f" (always '{baseline.get('class')}': {share:.4f})" if isinstance(share, float) else ""
