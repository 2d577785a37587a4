"""Hydra's grammar as Optuna's distributions."""

import itertools
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trainyard.io.errors import config_error
from trainyard.sweeps.search_space import SearchSpace, are_replicates, as_overrides

DIGITS = 4  # significant digits of drawn numbers


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the distribution of each choice; replicates have none, so that no sampler prefers a lucky seed or fold."""
    result: dict[str, BaseDistribution] = {}
    for name, values in space.choices().items():
        if are_replicates(name):
            continue
        if name in space.intervals:
            result[name] = parse_interval(name, values[0][name])
        elif len(values) > 1:
            result[name] = parse_choice([",".join(value.values()) for value in values])
    return result


def parse_interval(key: str, text: str) -> FloatDistribution | IntDistribution:
    """Return the distribution of `interval(low,high)`; logarithmic with `tag(log,...)`.

    As in Hydra, the upper end of integers is excluded: `int(interval(1,5))` gives 1 to 4.
    """
    interval = OverridesParser.create().parse_override(f"{key}={text}").value()
    assert isinstance(interval, IntervalSweep)
    low, high, log = interval.start, interval.end, "log" in interval.tags
    assert low is not None
    assert high is not None
    if unknown := interval.tags - {"log"}:
        raise config_error(key, text, f"unknown tag {', '.join(map(str, unknown))}", "tag(log, interval(low,high))")
    if log and low <= 0:
        raise config_error(key, text, f"{low} has no logarithm", "an interval above 0, or without tag(log, ...)")
    if low >= high:
        raise config_error(key, text, "the interval is empty", "interval(low,high) with low < high")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high - 1, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def parse_choice(values: Sequence[str]) -> IntDistribution | CategoricalDistribution:
    """Return the distribution of single values: ordered for evenly spaced, increasing integers, else categorical."""
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        return CategoricalDistribution(tuple(values))
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(steps) == 1 and [str(number) for number in numbers] == list(values) and (step := steps.pop()) > 0:
        return IntDistribution(numbers[0], numbers[-1], step=step)
    return CategoricalDistribution(tuple(values))


def as_text(drawn: object, distribution: BaseDistribution) -> str:
    """Return a drawn parameter as the text of an override."""
    if not isinstance(distribution, FloatDistribution):
        return str(drawn)
    rounded = float(f"{drawn:.{DIGITS}g}")
    return str(min(max(rounded, distribution.low), distribution.high))


def as_parameter(text: str, distribution: BaseDistribution) -> str | int | float:
    """Return the parameter for the text of an override; the inverse of `as_text`."""
    if isinstance(distribution, IntDistribution):
        return int(text)
    return float(text) if isinstance(distribution, FloatDistribution) else text


def representative_jobs(space: SearchSpace) -> list[list[str]]:
    """Return the overrides of jobs that contain each value of each axis once, and both ends of each interval."""
    choices = {name: endpoints(space, name, values) for name, values in space.choices().items()}
    first = {name: values[0] for name, values in choices.items()}
    variations = [first]
    for name, values in choices.items():
        variations += [{**first, name: value} for value in values[1:]]
    jobs = [space.combine(list(variation.values())) for variation in variations]
    allowed = [as_overrides(job) for job in jobs if space.allows(job)]
    return [list(overrides) for overrides in dict.fromkeys(map(tuple, allowed))]


def endpoints(space: SearchSpace, name: str, values: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the values of a choice, or both ends of an interval."""
    if name not in space.intervals:
        return values
    distribution = parse_interval(name, values[0][name])
    return [{name: as_text(end, distribution)} for end in (distribution.low, distribution.high)]
