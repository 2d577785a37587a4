"""How packages and hardware of two runs differ."""

from collections.abc import Mapping
from typing import Any

from trainyard.errors import listing

FIRST = (
    "trainyard",
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "numpy",
    "torchmetrics",
    "pillow",
    "pandas",
    "hydra-core",
)
HARDWARE = ("gpus", "threads", "instructions", "cores", "machine", "platform")  # by what they do to a sum
SHOWN = 6  # other packages that are named


def package_changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return a line for Python and each package that results depend on, and one for the others that differ.

    Args:
        one, other: what `provenance.json` holds.
    """
    versions = [{"python": run.get("python"), **run["packages"]} for run in (one, other)]
    changed = [name for name in sorted({*versions[0], *versions[1]}) if versions[0].get(name) != versions[1].get(name)]
    first = [name for name in ("python", *FIRST) if name in changed]
    lines = [f"{name} {versions[0].get(name) or 'none'} -> {versions[1].get(name) or 'none'}" for name in first]
    rest = [name for name in changed if name not in first]
    return [*lines, f"{len(rest)} other{'s' if len(rest) > 1 else ''}: {listing(rest, SHOWN)}"] if rest else lines


def hardware_changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return a line for each property of the machine that both runs noted and that differs.

    Args:
        one, other: what `provenance.json` holds.
    """
    ours, theirs = one["hardware"], other["hardware"]
    return [
        f"{name} {shown(ours[name])} -> {shown(theirs[name])}"
        for name in HARDWARE
        if name in ours and name in theirs and ours[name] != theirs[name]
    ]


def shown(value: Any) -> str:
    """Return a property in words."""
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
