"""What differs between the configs of two runs, but for what follows from something else."""

from typing import Any

from omegaconf import OmegaConf

from trainyard.config import leaves
from trainyard.history.condition import shown
from trainyard.stored.run import StoredRun

# By how much they tend to change a score.
GROUPS = ("data", "model", "optimizer", "scheduler", "augment", "finetune", "trainer", "accelerator")
OF_SWEEPS = ("hydra", "sweep")  # groups that say where and when a run is started, not what it is


def config_changes(one: StoredRun, other: StoredRun) -> list[str]:
    """Return a line for each option and each key that differs, those first that tend to matter most.

    The keys of a group whose option differs follow from it, and are left out unless they were typed.
    """
    choices = [run.choices for run in (one, other)]
    groups = sorted({*choices[0], *choices[1]} - {*OF_SWEEPS}, key=weight)
    changed = [group for group in groups if choices[0].get(group) != choices[1].get(group)]
    lines = [f"{group}={choices[0].get(group, 'null')} -> {choices[1].get(group, 'null')}" for group in changed]
    typed = {word.lstrip("+~").partition("=")[0] for run in (one, other) for word in run.overrides}
    ours, theirs = (keys_of(run) for run in (one, other))
    for key in sorted({*ours, *theirs}, key=weight):
        follows = key.split(".")[0] in changed and key not in typed
        if not follows and ours.get(key, "none") != theirs.get(key, "none"):
            lines.append(f"{key}={ours.get(key, 'none')} -> {theirs.get(key, 'none')}")
    return lines


def keys_of(run: StoredRun) -> dict[str, str]:
    """Return the keys that a run's results may depend on, with their values as they are typed."""
    config = {key: part for key, part in run.config_in("RUN").items() if key not in ("run", *OF_SWEEPS)}
    found = {key: shown(value) for key, value in leaves(OmegaConf.create(config))}
    pruner = (run.part("sweep") or {}).get("pruner", "none")
    return {**found, "sweep.pruner": str(pruner)}


def weight(key: str) -> tuple[int, Any]:
    """Return what puts a key in its place: what stands at the top, then groups, then the rest."""
    first, _, rest = key.partition(".")
    place = GROUPS.index(first) + 1 if first in GROUPS else len(GROUPS) + 1 if rest else 0
    return place, key
