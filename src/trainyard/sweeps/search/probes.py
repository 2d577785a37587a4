"""A few jobs that stand for a whole search: each value of each axis once."""

from collections.abc import Iterator

from optuna.distributions import FloatDistribution, IntDistribution

from trainyard.sweeps.search.distributions import as_text, interval
from trainyard.sweeps.search.where import Where
from trainyard.sweeps.search_space import SearchSpace, typed


def probes(space: SearchSpace) -> list[list[str]]:
    """Return jobs in which each value of each axis stands once, beside the first values of the others.

    An interval is represented by its ends.
    """
    condition = Where(space.where, space.values) if space.where else None
    found: dict[tuple[str, ...], list[str]] = {}
    for values in variations(space):
        if condition is None or condition.holds(values):
            found.setdefault(tuple(values.values()), typed(values))
    return list(found.values())


def variations(space: SearchSpace) -> Iterator[dict[str, str]]:
    """Yield the first combination, and those that differ from it in one choice."""
    choices = {name: ends(space, name, values) for name, values in space.axes_together().items()}
    first = {key: value for values in choices.values() for key, value in values[0].items()}
    yield first
    for values in choices.values():
        for value in values[1:]:
            yield {**first, **value}


def ends(space: SearchSpace, name: str, values: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the values of an axis, or both ends of an interval."""
    if name not in space.intervals:
        return values
    drawn = interval(name, values[0][name])
    assert isinstance(drawn, FloatDistribution | IntDistribution)
    return [{name: as_text(end, drawn)} for end in (drawn.low, drawn.high)]
