"""Kinds of values that a key of a config may hold; each says whether it accepts a value, and what it accepts.

`read` converts text, as `${oc.env:NAME}` gives it, into the value that it stands for. What the kind does not accept is
returned unchanged.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from trainyard.io.files import PATHS, path_problem


@cache
def parse(text: str) -> Any:
    """Return the value that Hydra reads from a text typed behind a key; or the text itself where Hydra reads none."""
    try:
        override = OverridesParser.create().parse_override(f"key={text}")
        return text if override.is_sweep_override() else override.value()
    except (HydraException, ValueError):  # ValueError: a number of too many digits
        return text


def parsed(value: Any) -> Any:
    """Parse text as a value; return any other value unchanged."""
    return parse(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; `above` and `below` exclude the limit itself."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    whole: bool = False
    odd: bool = False

    def accepts(self, value: object) -> bool:
        """Whether the value is such a number; `true` is none, nor are NaN and infinity."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        inside = self.low <= value <= self.high and self.above < value < self.below
        finite = isinstance(value, int) or math.isfinite(value)  # the largest integers do not fit in a float
        return inside and finite and not (self.odd and value % 2 == 0)

    def read(self, value: Any) -> Any:
        """Parse text as a number; return the text unchanged if it is not an accepted one."""
        return parsed(value) if self.accepts(parsed(value)) else value

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:.10g}"
        kind = "an odd whole number" if self.odd else "a whole number" if self.whole else "a number"
        limits = (("from", self.low), ("above", self.above), ("to", self.high), ("below", self.below))
        return " ".join([kind, *(f"{word} {limit:.10g}" for word, limit in limits if math.isfinite(limit))])


@dataclass(frozen=True)
class Each:
    """A list whose items are all of one kind; `least` to `most` of them."""

    kind: "Kind"
    least: int = 0
    most: int | None = None

    def accepts(self, value: object) -> bool:
        """Whether the value is such a list."""
        if not isinstance(value, list) or len(value) < self.least or (self.most or len(value)) < len(value):
            return False
        return all(map(self.kind.accepts, value))

    def read(self, value: Any) -> Any:
        """Parse text as a list, or each item of a list."""
        items = parsed(value)
        return [*map(self.kind.read, items)] if isinstance(items, list) else value

    def __str__(self) -> str:
        count = f"a list of {self.most}" if self.most else "a list like [64,32]"
        return f"{count}, each item {self.kind}"


@dataclass(frozen=True)
class Optional:
    """What a kind accepts, or `null`."""

    kind: "Kind"

    def accepts(self, value: object) -> bool:
        """Whether the value is `None` or of the kind."""
        return value is None or self.kind.accepts(value)

    def read(self, value: Any) -> Any:
        """Return `None` for `null`, otherwise what the kind reads."""
        return None if parsed(value) is None else self.kind.read(value)

    def __str__(self) -> str:
        return f"{self.kind}, or null"


@dataclass(frozen=True)
class OneOf:
    """One of several words, or of `True` and `False`."""

    words: tuple[str | bool, ...]

    def accepts(self, value: object) -> bool:
        """Whether the value is one of the words."""
        return any(value is word or (isinstance(word, str) and value == word) for word in self.words)

    def read(self, value: Any) -> Any:
        """Return `True` or `False` for a text where it is one of the words."""
        return parsed(value) if not self.accepts(value) and self.accepts(parsed(value)) else value

    def __str__(self) -> str:
        return f"one of {', '.join(str(word).lower() if isinstance(word, bool) else word for word in self.words)}"


@dataclass(frozen=True)
class Word:
    """Text."""

    def accepts(self, value: object) -> bool:
        """Whether the value is a text that is not empty."""
        return isinstance(value, str) and bool(value)

    def read(self, value: Any) -> Any:
        """Return the value."""
        return value

    def __str__(self) -> str:
        return "a text"


class PathText(Word):
    """Text that is a valid path."""

    def accepts(self, value: object) -> bool:
        """Whether the value is a path, of a file that need not be there."""
        return isinstance(value, str) and bool(value) and not path_problem(value)

    def __str__(self) -> str:
        return f"a text, {PATHS}"


@dataclass(frozen=True)
class Either:
    """What any of several kinds accepts."""

    kinds: tuple["Kind", ...]

    def accepts(self, value: object) -> bool:
        """Whether one of the kinds accepts the value."""
        return any(kind.accepts(value) for kind in self.kinds)

    def read(self, value: Any) -> Any:
        """Return what the first kind reads that accepts it."""
        found = (kind.read(value) for kind in self.kinds if kind.accepts(kind.read(value)))
        return next(found, value)

    def __str__(self) -> str:
        return ", or ".join(map(str, self.kinds))


Kind = Number | Each | Optional | OneOf | Word | Either
