"""The objective: the validation metric that selects the best epoch and ranks the jobs of a sweep."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.io.errors import config_error

AUTO = "auto"  # the objective of the task, which is known once the data has been read
MODES = ("min", "max")
STAGE = re.compile(r"(train|valid|validation|val|test)[/_](.+)")


@dataclass(frozen=True)
class Objective:
    """A validation metric and its mode.

    Attributes:
        name: such as `val/loss`.
        mode: `min` if smaller values are better, `max` if larger ones are.
    """

    name: str
    mode: str

    @classmethod
    def from_config(cls, cfg: DictConfig) -> "Objective":
        """Return the objective of a composed config.

        Raises:
            ConfigError: it is a metric of the training, or its mode is not known.
        """
        if str(cfg.objective).startswith("train"):
            accepted = "a metric of the validation, such as val/loss"
            raise config_error("objective", cfg.objective, "training scores select no epoch", accepted)
        mode = OmegaConf.select(cfg, "objective_mode")
        if mode is None:
            problem = "objective_mode is required: are smaller or larger values better?"
            raise config_error("objective", cfg.objective, problem, "with objective_mode=min or objective_mode=max")
        return cls(str(cfg.objective), str(mode))

    @classmethod
    def from_stored(cls, content: Mapping[str, Any]) -> "Objective":
        """Return the objective of a stored config; files of version 0.1 have no mode, and only two objectives."""
        name = str(content["objective"])
        mode = content.get("objective_mode") or ("min" if name == "val/loss" else "max")
        if mode not in MODES:
            raise ValueError(f"objective_mode={mode}")
        return cls(name, mode)

    def __str__(self) -> str:
        return self.name

    @property
    def test_name(self) -> str:
        """The name of the same metric of the test examples."""
        stage, _ = split_stage(self.name)
        return f"test{self.name.removeprefix(stage)}" if stage else self.name

    def sort_key(self, score: float | None) -> float:
        """Return a number that is smaller for better scores; 0 for NaN or none."""
        if score is None or math.isnan(score):
            return 0.0
        return -score if self.mode == "max" else score

    def is_better(self, score: float, other: float) -> bool:
        """Return whether a score is better than another one."""
        return self.sort_key(score) < self.sort_key(other)


def split_stage(name: str) -> tuple[str, str]:
    """Return the stage of a logged value, or an empty string, and its metric: `val` and `mse` for `val/mse`."""
    found = STAGE.fullmatch(name)
    return (found[1], found[2]) if found else ("", name)


def metric_name(name: str) -> str:
    """Return the name of a metric without its stage: `mse` for `val/mse`, `test/mse` or `val_mse`."""
    return split_stage(name)[1]


def known_mode(objective: str, modes: Mapping[str, Sequence[str]]) -> str | None:
    """Return the mode of an objective from the metrics of each mode; `None` if it is not known."""
    if objective == AUTO:
        return AUTO
    return next((mode for mode, names in modes.items() if metric_name(str(objective)) in names), None)
