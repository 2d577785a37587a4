"""Which jobs of a sweep can train as one network of stacked parameters, and why others cannot."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from omegaconf import DictConfig

from trainyard.io.errors import join_limited
from trainyard.sweeps.stacked.obstacles import TRANSFER, obstacle, read

ALONE = "no other job has its network, data and length"


def stackable(configs: Mapping[int, DictConfig]) -> tuple[list[list[int]], dict[int, str]]:
    """Return groups of jobs that can train together, and why each of the others cannot.

    Those of a group have the same network, data, length and callbacks, and differ in optimizer, schedule, seed and
    logger. Within a group those that see the examples in the same order stand side by side.

    Args:
        configs: of each job by its number, with Hydra's node.
    """
    reasons: dict[int, str] = {}
    groups: dict[str, list[int]] = {}
    for number, config in configs.items():
        cfg = read(config)
        if reason := obstacle(cfg):
            reasons[number] = reason
        else:
            groups.setdefault(shared(cfg), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: configs[number].seed)
    reasons |= {group[0]: ALONE for group in groups.values() if len(group) == 1}
    return [group for group in groups.values() if len(group) > 1], reasons


def shared(cfg: dict[str, Any]) -> str:
    """Return what jobs must have in common to train together."""
    keys = ["model", "data", "augment", "finetune", "trainer", "callbacks", "objective", "channels_last"]
    if cfg["model"]["_target_"] == TRANSFER and cfg["model"].get("weights") == "none":
        keys.append("seed")  # which makes the backbone
    return repr([cfg[key] for key in keys])


def divided(group: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Return a group in parts of about the same size, none of them of a single job where that can be."""
    parts = max(1, min(parts, len(group) // 2))
    ends = [len(group) * part // parts for part in range(parts + 1)]
    return [group[start:end] for start, end in pairwise(ends)]


def told(reasons: Mapping[int, str], names: Mapping[int, str]) -> str:
    """Return a line that says which jobs run by themselves, and why."""
    causes: dict[str, list[str]] = {}
    for number, reason in sorted(reasons.items()):
        causes.setdefault(reason, []).append(f"#{names[number]}")
    return "by itself  " + "; ".join(f"{join_limited(jobs, 5)}: {reason}" for reason, jobs in causes.items())
