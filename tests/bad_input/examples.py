"""How many examples of a property are tried, and how many were."""

import os

from hypothesis import HealthCheck, settings

SECONDS = "TRAINYARD_FUZZ_SECONDS"
tried: dict[str, int] = {}


def examples(count: int) -> settings:
    """Return how many examples of a property are tried: the same ones always, or twice as many new ones."""
    endless = SECONDS in os.environ
    unhealthy = [HealthCheck.too_slow, HealthCheck.data_too_large]
    how = {"deadline": None, "database": None, "suppress_health_check": unhealthy, "derandomize": not endless}
    return settings(max_examples=count * 2 if endless else count, **how)


def count(name: str) -> None:
    """Note that one more example of a property was tried."""
    tried[name] = tried.get(name, 0) + 1
