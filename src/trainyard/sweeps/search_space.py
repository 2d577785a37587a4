"""Which jobs a sweep consists of, from Hydra's own grammar of overrides."""

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from trainyard.errors import ConfigError, reject
from trainyard.files import relative, write_text

GROUP = "sweep"  # keys of the sweep itself, which no job depends on
FILE = "sweep.yaml"


@dataclass(frozen=True)
class SearchSpace:
    """A grid.

    Attributes:
        values: of each key that was typed, as text in the order of the jobs; those of more than one are the axes.
    """

    values: dict[str, list[str]]

    @classmethod
    def of(cls, overrides: Sequence[Override]) -> "SearchSpace":
        """Return the grid that the overrides span; of a key that is typed twice the last counts.

        Raises:
            ConfigError: an interval, which has no end of values; a key that has none; a key of the sweep that varies.
        """
        values: dict[str, list[str]] = {}
        for override in overrides:
            key = override.get_key_element()
            several, typed = override.is_sweep_override(), str(override.input_line).partition("=")[2]
            if key == GROUP or key.startswith(f"{GROUP}."):
                if several:
                    raise reject(key, typed, "a sweep has but one", "a single value")
                continue
            if several and not override.is_discrete_sweep():
                raise reject(key, typed, "a grid needs single values", "a,b,c or range(1,4)")
            texts = override.sweep_string_iterator() if several else [override.get_value_element_as_str()]
            values[key] = list(dict.fromkeys(map(str, texts)))  # twice the same is no repetition
            if not values[key]:
                raise reject(key, typed, "it gives no value", "a,b,c or range(1,4)")
        return cls(values)

    @classmethod
    def load(cls, file: Path) -> tuple["SearchSpace", str]:
        """Return the space that a sweep's directory keeps, and the metric that chooses.

        Raises:
            ConfigError: the file is not what `keep_in` writes.
        """
        try:
            content: Any = OmegaConf.to_container(OmegaConf.load(file))
            if is_whole(content):
                return cls(content["values"]), content["objective"]
        except (OSError, ValueError, YAMLError, OmegaConfBaseException):
            pass
        problem = f"{relative(file)} cannot be read"
        raise reject("sweep.name", file.absolute().parent.name, problem, "another sweep.name, or the folder moved away")

    @property
    def axes(self) -> dict[str, list[str]]:
        """The keys that vary, with their values."""
        return {key: values for key, values in self.values.items() if len(values) > 1}

    def jobs(self) -> list[list[str]]:
        """Return the overrides of each job; the last axis changes fastest."""
        pairs = ([written(key, value) for value in values] for key, values in self.values.items())
        return [list(job) for job in itertools.product(*pairs)]

    def name(self) -> str:
        """Return a name that the same command always gives: the axes, and a digest of all values."""
        digest = hashlib.sha256(repr(list(self.values.items())).encode()).hexdigest()[:8]
        words = [re.sub(r"[^A-Za-z0-9_]+", "", key.rpartition(".")[2]) for key in self.axes]
        return "-".join([*words, digest]) if len("-".join(words)) < 60 else digest

    def keep_in(self, folder: Path, objective: str) -> None:
        """Write the space, and what chooses, into a sweep's directory, or see that it is the one that is there.

        Raises:
            ConfigError: another sweep has the directory; the message tells the difference. Or it is damaged.
        """
        file = folder / FILE
        if not file.exists():
            write_text(file, OmegaConf.to_yaml(OmegaConf.create({"objective": objective, "values": self.values})))
            return
        there, _ = SearchSpace.load(file)
        if list(there.values.items()) != list(self.values.items()):
            lines = "\n".join(difference(there.values, self.values))
            accepted = "the same command, to go on with it; or another sweep.name"
            raise ConfigError(f"sweep.name={folder.name}: it is another sweep\n{lines}\n  accepted: {accepted}")


def is_whole(content: Any) -> bool:
    """Whether a file's content is a metric, and a list of texts for each key."""
    if not isinstance(content, dict) or not isinstance(content.get("objective"), str):
        return False
    values = content.get("values")
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        return False
    lists = values.values()
    return all(isinstance(found, list) and found and all(isinstance(text, str) for text in found) for found in lists)


def written(key: str, value: str) -> str:
    """Return an override as it is typed; one that takes a key out needs no value."""
    return key if key.startswith("~") and value == "null" else f"{key}={value}"


def difference(there: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """Return a line for each key whose values are not the same."""
    lines: list[str] = []
    for key in [*there, *(key for key in now if key not in there)]:
        before, after = (shown(space.get(key)) for space in (there, now))
        if before != after:
            lines.append(f"  {key}: there {before}, now {after}")
    return lines or ["  the keys or values stand in another order"]


def shown(values: Any) -> str:
    """Return values as they are typed."""
    return "nothing" if values is None else ",".join(values)
