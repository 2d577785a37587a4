"""How the data of two runs differ, by their fingerprints."""

from typing import Any

from trainyard.stored.run import StoredRun

COUNTS = ("examples", "classes", "least", "most")


def fingerprint_of(run: StoredRun) -> dict[str, dict[str, Any]] | None:
    """Return what a run has noted of its data, if it has."""
    data = run.result.get("data")
    found = data.get("fingerprint") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else None


def data_changes(one: StoredRun, other: StoredRun) -> list[str] | None:
    """Return a line for each split that differs; `None` where a run has no fingerprint."""
    ours, theirs = fingerprint_of(one), fingerprint_of(other)
    if ours is None or theirs is None:
        return None
    lines = []
    for split in [*ours, *(split for split in theirs if split not in ours)]:
        left, right = ours.get(split, {}), theirs.get(split, {})
        changed = [name for name in {**left, **right} if left.get(name) != right.get(name)]
        counts = [f"{name} {left.get(name)} -> {right.get(name)}" for name in COUNTS if name in changed]
        others = [name for name in changed if name not in COUNTS]
        if changed:
            lines.append(f"{split}: " + ", ".join([*counts, *(f"other {name}" for name in others)]))
    return lines
