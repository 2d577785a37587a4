"""The jobs of a sweep, parsed with Hydra's grammar of overrides."""

import hashlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hydra.core.override_parser.types import Override, RangeSweep

from trainyard.config.composition import parse_value
from trainyard.config.condition import GRAMMAR, Condition
from trainyard.io.errors import config_error, did_you_mean, join_limited

MAX_JOBS = 100_000  # more are a mistake, and would fill the memory
GROUP = "sweep"  # options of the sweep itself
SPLITS = ("data.seed", "data.fold")  # replicates that are validated on other examples
REPLICATES = ("seed", *SPLITS)  # keys that repeat a configuration; they are not hyperparameters


@dataclass(frozen=True)
class SearchSpace:
    """The values that jobs may have: a grid runs all combinations, a search draws some of them.

    Attributes:
        values: values of each key as text, in the order of the jobs. Keys with several values are the axes.
        intervals: keys whose single value is an interval to draw from.
        zipped: keys that vary together, the first value with the first.
        where: condition on the values of a job; empty for none.
        sampler: class of Optuna's sampler; empty for a grid.
    """

    values: dict[str, list[str]]
    intervals: tuple[str, ...] = ()
    zipped: tuple[str, ...] = ()
    where: str = ""
    sampler: str = ""

    @classmethod
    def parse(
        cls, overrides: Sequence[Override], zipped: Sequence[str] = (), where: str = "", sampler: str = ""
    ) -> "SearchSpace":
        """Return the search space of parsed overrides, checked; the last override of a key counts."""
        values: dict[str, list[str]] = {}
        intervals: set[str] = set()
        for override in overrides:
            key, text = override.get_key_element(), str(override.input_line).partition("=")[2]
            if (name := key.lstrip("+~")) == GROUP or name.startswith(f"{GROUP}."):
                if override.is_sweep_override():
                    raise config_error(key, text, "a sweep has only one", "a single value")
                continue
            intervals.discard(key)
            if override.is_interval_sweep():
                check_interval(key, text, sampler)
                intervals.add(key)
                values[key] = [text]
                continue
            listed = single_values(override)
            values[key] = listed if key in zipped else list(dict.fromkeys(listed))
            if not listed:
                raise config_error(key, text, "no values", "a,b,c or range(1,4)")
        ordered = tuple(key for key in values if key in intervals)
        space = cls(values, ordered, tuple(dict.fromkeys(zipped)), where, sampler)
        space.check()
        return space

    def check(self) -> None:
        """Raise a ConfigError for several objectives, invalid zipped keys, too many jobs, or an invalid condition."""
        for key, values in self.axes.items():
            if key.lstrip("+") in ("objective", "objective_mode"):
                raise config_error(key, ",".join(values), "scores of several metrics cannot be ranked", "one of them")
        self.check_zipped()
        # A search draws some of the combinations, but runs all replicates.
        choices = self.choices().items()
        count = math.prod(len(values) for name, values in choices if not self.sampler or are_replicates(name))
        if count > MAX_JOBS:
            problem = f"{count:,} combinations, too many for a sweep"
            accepted = f"up to {MAX_JOBS:,}; or sweep=random, which draws some"
            raise config_error("sweep", join_limited(self.axes), problem, accepted)
        if self.condition and not self.sampler and not self.jobs():
            accepted = "a condition that some combination meets"
            raise config_error("sweep.where", self.where, "excludes all jobs", accepted)

    def check_zipped(self) -> None:
        """Raise a ConfigError for zipped keys without a list of values, or with lists of different lengths."""
        text = join_limited(self.zipped)
        for key in self.zipped:
            if key not in self.values or key in self.intervals:
                problem = f"{key} has no list of values{did_you_mean(key, self.values)}"
                raise config_error("sweep.zip", text, problem, f"some of {join_limited(self.values)}")
        counts = {key: len(self.values[key]) for key in self.zipped}
        if len(set(counts.values())) > 1:
            problem = ", ".join(f"{key} has {count}" for key, count in counts.items())
            raise config_error("sweep.zip", text, f"{problem} values", "the same number of values of each")

    @cached_property
    def condition(self) -> "Where | None":
        """The parsed condition."""
        return Where(self.where, self.values) if self.where else None

    def allows(self, values: Mapping[str, str]) -> bool:
        """Whether the values of a job meet the condition."""
        return self.condition is None or self.condition.matches(values)

    @property
    def axes(self) -> dict[str, list[str]]:
        """The keys that vary, with their values; the value of an interval is its text."""
        return {key: values for key, values in self.values.items() if len(values) > 1 or key in self.intervals}

    def choices(self) -> dict[str, list[dict[str, str]]]:
        """Return the values to choose from, each as a dict, by key; zipped keys are one choice, joined by commas."""
        rows = dict.fromkeys(zip(*(self.values[key] for key in self.zipped), strict=True))
        zipped = [dict(zip(self.zipped, row, strict=True)) for row in rows]
        choices: dict[str, list[dict[str, str]]] = {}
        for key, values in self.values.items():
            if key in self.zipped:
                choices[",".join(self.zipped)] = zipped
            else:
                choices[key] = [{key: value} for value in values]
        return choices

    def combine(self, parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """Merge one value of each choice, in the order of the keys."""
        merged = {key: value for part in parts for key, value in part.items()}
        return {key: merged[key] for key in self.values if key in merged}

    @property
    def replicates(self) -> list[dict[str, str]]:
        """The values of the replicates, each combination once."""
        parts = [values for name, values in self.choices().items() if are_replicates(name)]
        return [self.combine(chosen) for chosen in itertools.product(*parts)]

    def combinations(self) -> Iterator[dict[str, str]]:
        """Yield the values of each job by key; the last axis changes fastest."""
        return filter(self.allows, map(self.combine, itertools.product(*self.choices().values())))

    def jobs(self) -> list[list[str]]:
        """Return the overrides of each job of a grid."""
        return [as_overrides(values) for values in self.combinations()]

    def name(self) -> str:
        """Return a name that depends only on the search space: the axes and a hash."""
        options = (self.zipped, self.where, self.sampler)
        identity = [*self.values.items(), *(options if any(options) else ())]  # the order numbers the jobs
        digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:8]
        words = [re.sub(r"[^A-Za-z0-9_]+", "", key.rpartition(".")[2]) for key in self.axes]
        return "-".join([*words, digest]) if len("-".join(words)) < 60 else digest


class Where:
    """The condition `sweep.where` on the values of a job, such as `not (model == "mlp" and optimizer.lr > 0.1)`."""

    def __init__(self, text: str, keys: Iterable[str]) -> None:
        self.text = text
        known = {key.lstrip("+~") for key in keys}
        self.condition = Condition(text, "sweep.where", known)
        if not self.condition.keys:
            raise config_error("sweep.where", text, "refers to no key", f"a condition on {join_limited(sorted(known))}")
        if unknown := sorted(self.condition.keys - known):
            problem = f"no job has a key {unknown[0]}{did_you_mean(unknown[0], known)}"
            raise config_error(
                "sweep.where", text, problem, f"{join_limited(sorted(known))}; texts in an expression need quotes"
            )

    def matches(self, values: Mapping[str, str]) -> bool:
        """Return whether the condition is true of the values of a job, given as text by key."""
        texts = {key.lstrip("+~"): value for key, value in values.items()}
        try:
            return self.condition.evaluate(lambda key: parse_value(texts[key]))
        except (TypeError, KeyError) as error:
            problem = f"cannot be evaluated for {' '.join(as_overrides(values))} ({error})"
            raise config_error("sweep.where", self.text, problem, GRAMMAR) from error


def check_interval(key: str, text: str, sampler: str) -> None:
    """Raise a ConfigError for an interval of a grid or of a replicate."""
    if is_replicate(key):
        raise config_error(key, text, "each configuration is repeated with all of its values", "a,b,c or range(3)")
    if not sampler:
        raise config_error(key, text, "a grid needs single values", "a,b,c or range(1,4); or sweep=tpe, sweep=random")


def is_replicate(key: str) -> bool:
    """Whether a key repeats a configuration: `seed`, `+seed` or `++seed`, for example."""
    return key.lstrip("+") in REPLICATES


def are_replicates(name: str) -> bool:
    """Whether all keys of a choice, joined by commas, are replicates."""
    return all(map(is_replicate, name.split(",")))


def configuration_of(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of a job without its replicates."""
    return tuple(word for word in overrides if not is_replicate(word.partition("=")[0]))


def single_values(override: Override) -> list[str]:
    """Return the values of an override as text; a ConfigError for a range without an end, or with too many values."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    swept = override.value()
    if not isinstance(swept, RangeSweep):
        return list(map(str, override.sweep_string_iterator()))
    if not swept.step or not ((swept.stop or 0) - (swept.start or 0)) / swept.step <= MAX_JOBS:
        text = str(override.input_line).partition("=")[2]
        raise config_error(override.get_key_element(), text, "no end, or too many values", f"up to {MAX_JOBS:,} values")
    texts = list(map(str, override.sweep_string_iterator()))
    if swept.stop is None:
        return texts
    # Hydra's range(0,0.4,0.1) contains 0.4, because of rounding errors.
    return [text for text in texts if (swept.stop - float(text)) * swept.step > 1e-9 * abs(swept.step)]


def as_overrides(values: Mapping[str, str]) -> list[str]:
    """Return values as overrides; the deletion of a key needs no value."""
    return [key if key.startswith("~") and value == "null" else f"{key}={value}" for key, value in values.items()]
