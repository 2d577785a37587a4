"""What a sweep compares its jobs by: one metric, or several that are traded off."""

from collections.abc import Sequence
from typing import Any

from trainyard.config import objective_mode
from trainyard.errors import listing, reject

METRICS = ("val/acc", "val/loss")
COSTS = ("seconds", "epochs", "parameters")  # of a job, by their keys in result.json
KEY = "sweep.objectives"


def check_objectives(names: Sequence[Any], of_runs: str) -> list[str]:
    """Return the metrics of a sweep, that of its runs first.

    Raises:
        ConfigError: one is not measured on validation, or that of the runs is not among them.
    """
    known = (*METRICS, *COSTS)
    for name in names:
        if name not in known:
            raise reject(KEY, listing(names), f"{name} is not measured", f"a list of {listing(known)}")
    if names and of_runs not in names:
        problem = f"the runs themselves are chosen by {of_runs}"
        raise reject(KEY, listing(names), problem, f"a list with {of_runs}, or another objective")
    return list(dict.fromkeys([of_runs, *names]))


def mode_of(name: str) -> str:
    """Return `max` or `min`, what is done with a metric."""
    return "min" if name in COSTS else objective_mode(name)


def is_dominated(values: Sequence[float], others: Sequence[Sequence[float]], modes: Sequence[str]) -> bool:
    """Whether some other is at least as good in every metric, and better in one (Pareto)."""
    signs = [-1 if mode == "max" else 1 for mode in modes]
    own = [sign * value for sign, value in zip(signs, values, strict=True)]
    for other in others:
        theirs = [sign * value for sign, value in zip(signs, other, strict=True)]
        if theirs != own and all(their <= mine for their, mine in zip(theirs, own, strict=True)):
            return True
    return False
