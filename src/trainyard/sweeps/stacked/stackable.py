"""Which jobs of a sweep can be stacked, and why others cannot."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from omegaconf import DictConfig

from trainyard.io.errors import join_limited
from trainyard.sweeps.stacked.obstacles import TRANSFER, find_obstacle, read_config

NO_PARTNER = "no other job has the same network, data and length"


def group_stackable(configs: Mapping[int, DictConfig]) -> tuple[list[list[int]], dict[int, str]]:
    """Return groups of jobs that can be stacked, and for each other job the reason why it cannot.

    The jobs of a group have the same network, data, length and callbacks; optimizer, schedule, seed and logger may
    differ. Jobs with the same order of examples are adjacent.

    Args:
        configs: the config of each job with Hydra's node, by its number.
    """
    reasons: dict[int, str] = {}
    groups: dict[str, list[int]] = {}
    for number, config in configs.items():
        cfg = read_config(config)
        if reason := find_obstacle(cfg):
            reasons[number] = reason
        else:
            groups.setdefault(shared_settings(cfg), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: configs[number].seed)
    reasons |= {group[0]: NO_PARTNER for group in groups.values() if len(group) == 1}
    return [group for group in groups.values() if len(group) > 1], reasons


def shared_settings(cfg: dict[str, Any]) -> str:
    """Return the settings that must be equal within a stack."""
    keys = ["model", "data", "task", "augment", "finetune", "trainer", "callbacks", "objective", "channels_last"]
    if cfg["model"]["_target_"] == TRANSFER and cfg["model"].get("weights") == "none":
        keys.append("seed")  # of the random backbone
    return repr([cfg[key] for key in keys])


def split_group(group: Sequence[int], parts: int) -> list[Sequence[int]]:
    """Split a group into parts of about the same size, with at least two jobs each if possible."""
    parts = max(1, min(parts, len(group) // 2))
    ends = [len(group) * part // parts for part in range(parts + 1)]
    return [group[start:end] for start, end in pairwise(ends)]


def format_reasons(reasons: Mapping[int, str]) -> str:
    """Return a line with the jobs that are not stacked, and why."""
    jobs_by_reason: dict[str, list[str]] = {}
    for number, reason in sorted(reasons.items()):
        jobs_by_reason.setdefault(reason, []).append(f"#{number}")
    causes = (f"{join_limited(jobs, 5)}: {reason}" for reason, jobs in jobs_by_reason.items())
    return "not stacked  " + "; ".join(causes)
