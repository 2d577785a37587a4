"""The values of an axis as a distribution of Optuna's, and back."""

import itertools
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainyard.errors import reject
from trainyard.sweeps.search_space import SearchSpace, repeats

DIGITS = 4  # of a drawn number: more say nothing, and nobody wants to type them


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the distribution of each axis of a space, by its key; keys that go together are one.

    Replicates have none: a sampler must not prefer the seed or the fold that scored best.
    """
    found: dict[str, BaseDistribution] = {}
    for name, values in space.axes_together().items():
        if repeats(name):
            continue
        if name in space.intervals:
            found[name] = interval(name, values[0][name])
        elif len(values) > 1:
            found[name] = choice([joined(chosen) for chosen in values])
    return found


def interval(key: str, typed: str) -> FloatDistribution | IntDistribution:
    """Return the distribution of `interval(low, high)`, drawn by its logarithm with `tag(log, ...)`.

    The upper end does not belong to it, as Hydra has it: `int(interval(1,5))` gives 1 to 4.

    Raises:
        ConfigError: it holds no number, or is to be drawn by the logarithm of what has none.
    """
    found = OverridesParser.create().parse_override(f"{key}={typed}")._value
    assert isinstance(found, IntervalSweep)
    low, high, log = found.start, found.end, "log" in found.tags
    assert low is not None
    assert high is not None
    if unknown := found.tags - {"log"}:
        raise reject(key, typed, f"nobody knows the tag {', '.join(map(str, unknown))}", "tag(log, interval(low,high))")
    if log and low <= 0:
        raise reject(key, typed, f"{low} has no logarithm", "an interval from above 0 on, or without tag(log, ...)")
    if low >= high:
        raise reject(key, typed, "it holds no number", "interval(low,high) with low < high")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high - 1, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def choice(values: Sequence[str]) -> IntDistribution | CategoricalDistribution:
    """Return the distribution of single values: of whole numbers at equal distances in order, or of mere texts."""
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        return CategoricalDistribution(tuple(values))
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(steps) == 1 and [str(number) for number in numbers] == list(values) and (step := steps.pop()) > 0:
        return IntDistribution(numbers[0], numbers[-1], step=step)
    return CategoricalDistribution(tuple(values))


def as_text(drawn: object, distribution: BaseDistribution) -> str:
    """Return what was drawn as a person would type it."""
    if not isinstance(distribution, FloatDistribution):
        return str(drawn)
    rounded = float(f"{drawn:.{DIGITS}g}")
    return str(min(max(rounded, distribution.low), distribution.high))


def as_parameter(text: str, distribution: BaseDistribution) -> str | int | float:
    """Return the value that Optuna knows for a typed one."""
    if isinstance(distribution, IntDistribution):
        return int(text)
    return float(text) if isinstance(distribution, FloatDistribution) else text


def joined(values: Mapping[str, str]) -> str:
    """Return values that are chosen together as one."""
    return ",".join(values.values())
