"""What a run has of a key that a person types."""

from typing import Any

from trainyard.stored.run import StoredRun

COLUMNS = ("name", "status", "started", "best", "epochs", "seconds", "parameters")


def value_of(run: StoredRun, key: str) -> Any:
    """Return what a run has of a key: a column, a metric, the option of a group, or a dotted key of the config.

    Raises:
        KeyError: it has none.
    """
    if key in COLUMNS[:2]:
        return getattr(run, key)
    if key == "started":
        return run.started.isoformat(timespec="seconds")
    if key == "best":
        return (run.result.get("objective") or {})["value"]
    if key in COLUMNS:
        return run.result[key]
    if key in run.metrics:
        return run.metrics[key]
    if key in run.choices:
        return run.choices[key]
    first, *rest = key.split(".")
    if first not in run.texts:
        raise KeyError(key)
    found = run.part(first)
    for name in rest:
        if not isinstance(found, dict):
            raise KeyError(key)
        found = found[name]
    return found


def keys_of(run: StoredRun) -> list[str]:
    """Return the keys that a run has."""

    def below(node: Any, path: str) -> list[str]:
        if not isinstance(node, dict):
            return [path]
        return [key for name, part in node.items() for key in below(part, f"{path}.{name}")]

    own = [key for name, part in run.config.items() if name != "run" for key in below(part, name)]
    return [*COLUMNS, *run.metrics, *run.choices, *own]


def has(run: StoredRun, key: str) -> bool:
    """Whether a run has a key."""
    try:
        value_of(run, key)
    except KeyError:
        return False
    return True
