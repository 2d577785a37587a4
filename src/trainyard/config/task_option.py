"""The option of the group `task` that stands behind `task=auto`, known once the data has been read."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from trainyard.config.composition import config_groups, config_values, load_option
from trainyard.config.objective import AUTO, known_mode

NAMES, MODES = ("objective", "monitor"), ("objective_mode", "mode")  # keys that refer to the objective


def choose_task(cfg: DictConfig, kind: str | None) -> None:
    """Replace `task=auto` by the option for a kind of target, and the objective `auto` by that of the option.

    Args:
        cfg: of a run, without interpolations.
        kind: of the target of the data; `None` if the data does not describe its target.
    """
    task = cfg.get("task")
    if task is None or task.get("kind") != AUTO:
        return
    option = load_option("task", kind or task.default)
    if cfg.objective == AUTO:
        set_objective(cfg, option.objective, str(known_mode(option.objective, cfg.metric_modes)))
    if kind:
        with open_dict(cfg):
            cfg.task, cfg.run.choices.task = OmegaConf.to_container(option), kind


def adopt_task(cfg: DictConfig, stored: Mapping[str, Any]) -> None:
    """Choose the task of a stored config, if `task=auto` stands for it."""
    task = stored.get("task")
    kind = task.get("kind") if isinstance(task, dict) else None
    if kind in config_groups()["task"] and kind != AUTO:
        choose_task(cfg, kind)


def set_objective(cfg: DictConfig, name: str, mode: str) -> None:
    """Set the objective of a config in which it is `auto`, also in the schedule and the callbacks that refer to it."""
    for path, value in [*config_values(cfg)]:
        key = path.rpartition(".")[2]
        if value == AUTO and key in (*NAMES, *MODES):
            OmegaConf.update(cfg, path, name if key in NAMES else mode)
