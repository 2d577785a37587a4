"""How two runs differ: scores, config, data, code, packages, hardware and curves."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainyard.history.code_version import code_changes
from trainyard.history.scores import score_line
from trainyard.history.stored_run import StoredRun, flatten
from trainyard.io.errors import join_limited
from trainyard.run.metrics_csv import read_curves

Lines = list[str] | None
CAUSES = ("config", "data", "code", "packages", "hardware")
UNKNOWN = {
    "config": "a run's config.yaml is missing or invalid",
    "packages": "a run's provenance.json is missing or invalid",
    "hardware": "a run's provenance.json is missing or invalid",
    "data": "a run has no fingerprint of its data",
    "code": "neither run comes from a checkout",
    "curves": "a run has no metrics.csv",
}
COUNTS = ("examples", "classes", "least", "most")  # in a fingerprint; the rest are digests
FIRST = ("python", "trainyard", "torch", "torchvision", "lightning", "timm", "numpy", "torchmetrics")
HARDWARE = ("gpus", "threads", "instructions", "cores", "machine", "platform")  # by their effect on floating-point sums
OF_SWEEPS = ("hydra", "sweep")  # config groups that do not change a run
SHOWN = 6  # other packages that are named
ROUNDING = 1e-6  # a smaller gap between curves is ignored


def diff(one: StoredRun, other: StoredRun) -> str:
    """Return a verdict on the scores, then what differs, the likely causes first; one line if nothing differs."""
    sections = {
        "config": config_changes(one, other),
        "data": data_changes(one, other),
        "code": code_changes(one, other),
        "packages": package_changes(one.provenance, other.provenance),
        "hardware": hardware_changes(one.provenance, other.provenance),
        "curves": curve_changes(one, other),
    }
    same = [name for name, lines in sections.items() if lines == []]
    unknown = [f"{name}: {UNKNOWN[name]}" for name, lines in sections.items() if lines is None]
    differ = {name: lines for name, lines in sections.items() if lines}
    if not differ and one.metrics and one.metrics == other.metrics:
        return "; ".join([f"{one.name} and {other.name} are the same: {', '.join(same)}, scores", *unknown])
    found = [*headed("A", [one.name]), *headed("B", [other.name]), score_line(one, other)]
    results_differ = one.metrics != other.metrics or "curves" in differ
    if one.metrics and other.metrics and "config" not in differ and results_differ:
        others = [name for name in CAUSES if name in differ]
        reason = f"other {' or '.join(others)}, or not deterministic" if others else "not deterministic"
        found.append(f"the same config and seed, but other results: {reason}")
    for name, lines in differ.items():
        found += headed(name, lines)
    return "\n".join([*found, *headed("the same", [", ".join(same)] if same else []), *headed("unknown", unknown)])


def headed(name: str, lines: Sequence[str]) -> list[str]:
    """Return lines in a column, with a name before the first."""
    return [f"{'' if number else name:<10} {line}" for number, line in enumerate(lines)]


def changes(ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: Iterable[str], sign: str = " ") -> list[str]:
    """Return a line for each key whose values differ."""
    pairs = {key: (ours.get(key, "none"), theirs.get(key, "none")) for key in keys}
    return [f"{key}{sign}{as_yaml(old)} -> {as_yaml(new)}" for key, (old, new) in pairs.items() if old != new]


def config_changes(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for each option and each key that differs; `None` without a config.

    The keys of a group whose option differs follow from it, and are left out unless they were typed.
    """
    if not one.own or not other.own:
        return None
    ours, theirs = (
        {name: option for name, option in run.choices.items() if name not in OF_SWEEPS} for run in (one, other)
    )
    options = changes(ours, theirs, sorted({*ours, *theirs}), "=")
    groups = {line.partition("=")[0] for line in options}
    typed = {word.lstrip("+~").partition("=")[0] for run in (one, other) for word in run.overrides}
    left, right = values_of(one), values_of(other)
    keys = sorted({*left, *right}, key=lambda key: ("." in key, key))
    return [*options, *changes(left, right, (k for k in keys if k in typed or k.split(".")[0] not in groups), "=")]


def values_of(run: StoredRun) -> dict[str, object]:
    """Return the config values that results may depend on, by dotted key."""
    config = {key: part for key, part in run.config_in("RUN").items() if key not in ("run", *OF_SWEEPS)}
    return {**dict(flatten(config)), "sweep.pruner": (run.part("sweep") or {}).get("pruner", "none")}


def as_yaml(value: object) -> str:
    """Return a value as it is typed."""
    if isinstance(value, list):
        return f"[{','.join(map(as_yaml, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def data_changes(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for each split that differs; `None` if a run has no fingerprint."""
    ours, theirs = one.fingerprint, other.fingerprint
    if ours is None or theirs is None:
        return None
    lines = []
    for split in dict.fromkeys((*ours, *theirs)):
        left, right = ours.get(split, {}), theirs.get(split, {})
        digests = [name for name in {**left, **right} if name not in COUNTS and left.get(name) != right.get(name)]
        if changed := [*changes(left, right, COUNTS), *(f"other {name}" for name in digests)]:
            lines.append(f"{split}: {', '.join(changed)}")
    return lines


def package_changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> Lines:
    """Return a line for Python and each package that results depend on, and one for all others that differ.

    Args:
        one, other: contents of `provenance.json`.
    """
    if not one["packages"] or not other["packages"]:
        return None
    ours, theirs = ({"python": run.get("python"), **run["packages"]} for run in (one, other))
    rest = [name for name in sorted({*ours, *theirs}) if name not in FIRST and ours.get(name) != theirs.get(name)]
    return changes(ours, theirs, FIRST) + ([f"{len(rest)} others: {join_limited(rest, SHOWN)}"] if rest else [])


def hardware_changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> Lines:
    """Return a line for each property of the machine that differs, if both runs have it.

    Args:
        one, other: contents of `provenance.json`.
    """
    ours, theirs = one["hardware"], other["hardware"]
    if not ours or not theirs:
        return None
    return changes(ours, theirs, (name for name in HARDWARE if name in ours and name in theirs))


def curve_changes(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for the best epochs and for each curve that differs; `None` without a table.

    Learning rates follow from the config, and a test has no curve.
    """
    ours, theirs = (read_curves(run.folder, by="epoch") for run in (one, other))
    if not ours or not theirs:
        return None
    bests = [f"{run.result['objective']['epoch']} of {run.result['epochs']}" for run in (one, other) if run.metrics]
    lines = [f"best epoch {' -> '.join(bests)}"] if len({*bests}) == 2 else []
    names = sorted(name for name in {*ours} & {*theirs} if not name.startswith(("lr/", "test/")))
    for name in sorted(names, key=lambda name: not name.startswith("val/")):
        left, right = ours[name], theirs[name]
        gaps = {epoch: abs(left[epoch] - right[epoch]) for epoch in sorted({*left} & {*right})}
        apart = [epoch for epoch, gap in gaps.items() if not gap <= ROUNDING]  # also where a value is NaN
        ends = f"{name} {left[max(left)]:.4f} -> {right[max(right)]:.4f} at the end"
        if apart:
            largest = max(apart, key=lambda epoch: gaps[epoch])
            first = f"first differs at epoch {apart[0] + 1} (by {gaps[apart[0]]:.2g})"
            lines.append(f"{ends}, {first}, most at epoch {largest + 1} (by {gaps[largest]:.4f})")
        elif gaps and {*left} != {*right}:
            lines.append(f"{ends}, the same until epoch {max(gaps) + 1}")
    return lines
