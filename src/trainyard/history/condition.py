"""Conditions that choose runs, such as `model=cnn`, `val/acc>0.95` or `optimizer.lr<0.01`."""

import json
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from trainyard.errors import did_you_mean, listing, reject
from trainyard.history.run_values import has, keys_of, value_of
from trainyard.stored.run import StoredRun

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
LOOKED_AT = 50  # runs whose keys are suggested
ACCEPTED = "KEY=VALUE, or with !=, <, <=, > or >= in quotes; * in a VALUE stands for anything"


@dataclass(frozen=True)
class Condition:
    """What a key of a run must be; a run without the key does not fulfil it, whatever it says.

    Attributes:
        key: as in `value_of`.
        comparison: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: what it is compared with.
    """

    key: str
    comparison: str
    value: str

    @classmethod
    def read(cls, text: str) -> "Condition":
        """Return the condition that was typed.

        Raises:
            ConfigError: it is none, or orders what is no number.
        """
        found = re.fullmatch(r"([^=<>!]+)(!=|<=|>=|=|<|>)(.*)", text)
        if not found:
            raise reject("CONDITION", text, "cannot be read", ACCEPTED)
        condition = cls(*(word.strip() for word in found.groups()))
        if condition.comparison in COMPARE and condition.key != "started" and number(condition.value) is None:
            raise reject("CONDITION", text, f"{condition.value or 'nothing'} is no number", ACCEPTED)
        return condition

    def holds(self, run: StoredRun) -> bool:
        """Whether a run fulfils it."""
        try:
            found = value_of(run, self.key)
        except KeyError:
            return False
        if self.comparison in COMPARE:
            if self.key == "started":  # dates in this order are in the order of their texts
                return COMPARE[self.comparison](found[: len(self.value)], self.value)  # type: ignore[arg-type]
            left, right = number(found), number(self.value)
            return left is not None and right is not None and COMPARE[self.comparison](left, right)
        return self.equals(found) == (self.comparison == "=")

    def equals(self, found: Any) -> bool:
        """Whether a value is the one that was typed, or of its pattern."""
        left, right = number(found), number(self.value)
        if left is not None and right is not None:
            return left == right
        return fnmatchcase(shown(found).replace(" ", ""), self.value.replace(" ", "").replace("[", "[[]"))


def number(value: Any) -> float | None:
    """Return a value, or what was typed, as a number; `None` where it is none."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def shown(value: Any) -> str:
    """Return a value as it is typed."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def fulfilling(runs: Sequence[StoredRun], conditions: Sequence[Condition]) -> list[StoredRun]:
    """Return the runs that fulfil all conditions.

    Raises:
        ConfigError: one names a key that no run has.
    """
    for condition in conditions:
        chosen = [run for run in runs if condition.holds(run)]
        if not chosen:
            check_known(condition.key, runs)
        runs = chosen
    return list(runs)


def check_known(key: str, runs: Sequence[StoredRun]) -> None:
    """Raise a ConfigError where no run has a key."""
    if not runs or any(has(run, key) for run in runs):
        return
    known = sorted({known for run in runs[-LOOKED_AT:] for known in keys_of(run)})
    parent = key.rpartition(".")[0]
    beside = [name for name in known if name.rpartition(".")[0] == parent] or [n for n in known if "." not in n]
    raise reject("KEY", key, f"no run has such a key{did_you_mean(key, known)}", listing(beside, 40))
