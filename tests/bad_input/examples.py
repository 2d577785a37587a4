"""Settings of hypothesis, and counts of the tested examples."""

import os

from hypothesis import HealthCheck, settings

SECONDS = "TRAINYARD_FUZZ_SECONDS"
counts: dict[str, int] = {}


def max_examples(number: int) -> settings:
    """Return settings for a number of fixed examples or, when fuzzing, for twice as many new ones."""
    fuzzing = SECONDS in os.environ
    return settings(
        max_examples=number * 2 if fuzzing else number,
        derandomize=not fuzzing,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def count_example(name: str) -> None:
    """Count an example of a kind of input."""
    counts[name] = counts.get(name, 0) + 1
