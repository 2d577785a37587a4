"""Which jobs a sweep consists of, from Hydra's own grammar of overrides."""

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override, RangeSweep

from trainyard.errors import did_you_mean, listing, reject
from trainyard.sweeps.search.where import Where

MOST = 100_000  # jobs; more are a mistake, and would fill the memory
GROUP = "sweep"  # keys of the sweep itself, which no job depends on
SPLITS = ("data.seed", "data.fold")  # replicates that are validated on other examples
REPLICATES = ("seed", *SPLITS)  # keys that repeat a configuration; none is a hyperparameter


@dataclass(frozen=True)
class SearchSpace:
    """The values that jobs may have: all combinations for a grid, some that a sampler draws for a search.

    Attributes:
        values: of each key that was typed, as text in the order of the jobs; those of more than one are the axes.
        intervals: keys whose one value is an interval to draw from.
        zipped: keys whose values go together, the first with the first.
        where: condition on the values of a job; empty for none.
        sampler: class that draws; empty for a grid.
    """

    values: dict[str, list[str]]
    intervals: tuple[str, ...] = ()
    zipped: tuple[str, ...] = ()
    where: str = ""
    sampler: str = ""

    @classmethod
    def of(
        cls, overrides: Sequence[Override], zipped: Sequence[str] = (), where: str = "", sampler: str = ""
    ) -> "SearchSpace":
        """Return the space that the overrides span; of a key that is typed twice the last counts.

        Raises:
            ConfigError: a grid with an interval, which has no end of values; a key that has none; a key of the sweep
                that varies; keys that cannot go together; a condition that cannot be told.
        """
        values: dict[str, list[str]] = {}
        intervals: list[str] = []
        for override in overrides:
            key = override.get_key_element()
            several, typed = override.is_sweep_override(), str(override.input_line).partition("=")[2]
            if (plain := key.lstrip("+~")) == GROUP or plain.startswith(f"{GROUP}."):
                if several:
                    raise reject(key, typed, "a sweep has but one", "a single value")
                continue
            continuous = several and not override.is_discrete_sweep()
            if continuous and is_replicate(key):
                raise reject(key, typed, "each configuration is repeated with all of its values", "a,b,c or range(3)")
            if continuous and not sampler:
                raise reject(
                    key, typed, "a grid needs single values", "a,b,c or range(1,4); or sweep=tpe, sweep=random"
                )
            intervals = [*(other for other in intervals if other != key), *([key] if continuous else [])]
            found = [typed] if continuous else single_values(override)
            values[key] = found if key in zipped else list(dict.fromkeys(found))  # twice the same is no repetition
            if not values[key]:
                raise reject(key, typed, "it gives no value", "a,b,c or range(1,4)")
        space = cls(values, tuple(intervals), tuple(dict.fromkeys(zipped)), where, sampler)
        space.check()
        return space

    def check(self) -> None:
        """Raise a ConfigError where zipped keys have no pairs, or the condition is none."""
        for key in self.zipped:
            if key not in self.values or key in self.intervals:
                problem = f"{key} has no list of values{did_you_mean(key, self.values)}"
                raise reject("sweep.zip", listing(self.zipped), problem, f"of {listing(self.values)}, what varies")
        if len(counts := {key: len(self.values[key]) for key in self.zipped}) and len(set(counts.values())) > 1:
            told = ", ".join(f"{key} has {count}" for key, count in counts.items())
            raise reject("sweep.zip", listing(self.zipped), f"{told} values", "as many values of each")
        together = self.axes_together()  # of a search, each configuration has all replicates
        if (count := math.prod(len(v) for name, v in together.items() if not self.sampler or repeats(name))) > MOST:
            problem = f"{count:,} combinations, more than a sweep may have"
            raise reject("sweep", listing(self.axes), problem, f"up to {MOST:,}; or sweep=random, which draws of them")
        if self.where and not self.sampler and not self.jobs():
            raise reject("sweep.where", self.where, "it leaves no job", "a condition that some combination meets")
        if self.where:
            Where(self.where, self.values)

    @property
    def axes(self) -> dict[str, list[str]]:
        """The keys that vary, with their values; an interval stands for its own."""
        return {key: values for key, values in self.values.items() if len(values) > 1 or key in self.intervals}

    @property
    def replicates(self) -> list[dict[str, str]]:
        """What each configuration is repeated with: the values of all keys that are chosen among replicates alone."""
        together = self.axes_together()
        parts = [values for name, values in together.items() if repeats(name)]
        return [{key: value for part in chosen for key, value in part.items()} for chosen in itertools.product(*parts)]

    def combinations(self) -> Iterator[dict[str, str]]:
        """Yield the values of each job by their key; the last axis changes fastest."""
        condition = Where(self.where, self.values) if self.where else None
        for parts in itertools.product(*self.axes_together().values()):
            drawn = {key: value for part in parts for key, value in part.items()}
            values = {key: drawn[key] for key in self.values}
            if condition is None or condition.holds(values):
                yield values

    def axes_together(self) -> dict[str, list[dict[str, str]]]:
        """Return what is chosen from at once, by the keys' names: the values of one key, or of all zipped ones."""
        found: dict[str, list[dict[str, str]]] = {}
        pairs = dict.fromkeys(zip(*(self.values[key] for key in self.zipped), strict=True))
        together = [dict(zip(self.zipped, values, strict=True)) for values in pairs]
        for key, values in self.values.items():
            name = ",".join(self.zipped) if key in self.zipped else key
            found[name] = together if key in self.zipped else [{key: value} for value in values]
        return found

    def jobs(self) -> list[list[str]]:
        """Return the overrides of each job of a grid."""
        return [typed(values) for values in self.combinations()]

    def name(self) -> str:
        """Return a name that the same command always gives: the axes, and a digest of all values."""
        digest = hashlib.sha256(repr(self.identity).encode()).hexdigest()[:8]
        words = [re.sub(r"[^A-Za-z0-9_]+", "", key.rpartition(".")[2]) for key in self.axes]
        return "-".join([*words, digest]) if len("-".join(words)) < 60 else digest

    @property
    def identity(self) -> list[object]:
        """What makes two spaces the same; the order of keys and values counts, since it numbers the jobs."""
        further = (self.zipped, self.where, self.sampler)
        return [*self.values.items(), *(further if any(further) else ())]


def is_replicate(key: str) -> bool:
    """Whether a key repeats a configuration, however it is typed: `seed`, `+seed` or `++seed`."""
    return key.lstrip("+") in REPLICATES


def repeats(name: str) -> bool:
    """Whether all keys that are chosen together, joined by commas, are replicates."""
    return all(map(is_replicate, name.split(",")))


def configuration_of(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of a job without its replicates: jobs with the same ones repeat each other."""
    return tuple(word for word in overrides if not is_replicate(word.partition("=")[0]))


def single_values(override: Override) -> list[str]:
    """Return the values of an override as text."""
    swept = override._value
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if isinstance(swept, RangeSweep):
        check_range(override, swept)
    texts = list(map(str, override.sweep_string_iterator()))
    if isinstance(swept, RangeSweep) and swept.stop is not None:  # Hydra's own has range(0,0.4,0.1) end with 0.4
        texts = [text for text in texts if (swept.stop - float(text)) * swept.step > 1e-9 * abs(swept.step)]
    return texts


def check_range(override: Override, swept: RangeSweep) -> None:
    """Raise a ConfigError for a range that never ends, or would fill the memory."""
    if not swept.step or not ((swept.stop or 0) - (swept.start or 0)) / swept.step <= MOST:
        text = str(override.input_line).partition("=")[2]
        raise reject(override.get_key_element(), text, "no end, or too many values", f"up to {MOST:,} values")


def typed(values: Mapping[str, str]) -> list[str]:
    """Return overrides as they are typed; one that takes a key out needs no value."""
    return [key if key.startswith("~") and value == "null" else f"{key}={value}" for key, value in values.items()]
