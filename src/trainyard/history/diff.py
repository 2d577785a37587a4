"""How two runs differ, what probably matters first."""

from trainyard.history.class_changes import class_changes
from trainyard.history.code_changes import code_changes
from trainyard.history.config_changes import config_changes
from trainyard.history.curve_changes import curve_changes
from trainyard.history.data_changes import data_changes
from trainyard.history.environment import hardware_changes, package_changes
from trainyard.history.scores import score_line
from trainyard.stored.run import StoredRun
from trainyard.terminal.aligned import headed

CAUSES = ("config", "data", "code", "packages", "hardware")
UNKNOWN = {
    "config": "a run's config.yaml is missing or no YAML",
    "packages": "a run's provenance.json is missing or no JSON",
    "hardware": "a run's provenance.json is missing or no JSON",
    "data": "a run has no fingerprint of its data",
    "code": "neither comes from a checkout",
    "curves": "a run has no metrics.csv",
    "classes": "predictions/val.npz is not saved by both",
}


def diff(one: StoredRun, other: StoredRun) -> str:
    """Return a verdict, then what differs by what probably matters, then what does not; a line if nothing differs."""
    composed = bool(one.own and other.own)
    sections = {
        "config": config_changes(one, other) if composed else None,
        "data": data_changes(one, other),
        "code": code_changes(one, other),
        "packages": package_changes(one.provenance, other.provenance) if noted(one, other, "packages") else None,
        "hardware": hardware_changes(one.provenance, other.provenance) if noted(one, other, "hardware") else None,
        "curves": curve_changes(one, other),
        "classes": class_changes(one, other),
    }
    same = [name for name, lines in sections.items() if lines == []]
    unknown = [f"{name}: {UNKNOWN[name]}" for name, lines in sections.items() if lines is None]
    differ = {name: lines for name, lines in sections.items() if lines}
    if not differ and one.metrics and one.metrics == other.metrics:
        blind = "".join(f"; {text}" for text in unknown)
        return f"{one.name} and {other.name} are the same: {', '.join(same)}, scores{blind}"
    found = [*headed("A", [one.name]), *headed("B", [other.name]), score_line(one, other)]
    parted = one.metrics != other.metrics or "curves" in differ
    if one.metrics and other.metrics and "config" not in differ and parted:
        others = [name for name in CAUSES if name in differ]
        reason = f"other {' or '.join(others)}, or not deterministic here" if others else "not deterministic here"
        found.append(f"the same config and seed, but other results: {reason}")
    for name, lines in differ.items():
        found += headed(name, lines)
    found += headed("the same", [", ".join(same)]) if same else []
    return "\n".join([*found, *headed("not known", unknown)])


def noted(one: StoredRun, other: StoredRun, part: str) -> bool:
    """Whether both runs noted a part of their provenance."""
    return bool(one.provenance[part] and other.provenance[part])
