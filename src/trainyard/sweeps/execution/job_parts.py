"""The parts of a job that can be checked apart from each other, so that jobs share the checks of equal parts."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from omegaconf import DictConfig

from trainyard.config.constraints import RULES

STEPS = ("optimizer", "scheduler")  # no other part of a run depends on their values
SEED = re.compile(r"seed=(\d+)")
JOB_FOLDER = "hydra.sweep.subdir="
OWN_OVERRIDES = "${hydra:overrides.task}"  # of run.overrides in train.yaml
DEPENDS_ON_JOB = re.compile(r"\$\{[^}]*(seed|hydra[:.](?!runtime))")
DEPENDS_ON_STEPS = re.compile(rf"\$\{{[^}}]*({'|'.join(STEPS)})")


class JobParts(NamedTuple):
    """The overrides of a job without a valid seed and the number of the job, which need no check.

    Attributes:
        steps: single values of the optimizer and the schedule.
        options: the others that may choose options, or that change the optimizer or the schedule; the keys of `steps`.
        rest: all others; the keys of `steps`.
    """

    steps: tuple[str, ...]
    options: tuple[str, ...]
    rest: tuple[str, ...]

    @classmethod
    def split(cls, overrides: Sequence[str]) -> "JobParts":
        """Return the parts of a job; a value with an interpolation belongs to the rest."""
        parts: tuple[list[str], list[str], list[str]] = ([], [], [])
        steps, options, rest = parts
        for word in overrides:
            key = word.partition("=")[0].lstrip("+~")
            changes_steps = key.partition(".")[0].partition("@")[0] in STEPS
            if is_valid_for_all(word):
                continue
            if changes_steps and "." in key and "=" in word and "$" not in word and not word.startswith("~"):
                steps.append(word)
                word = word.partition("=")[0]
            rest.append(word)
            if changes_steps or "." not in key:
                options.append(word)
        return cls(*map(tuple, parts))


def is_valid_for_all(override: str) -> bool:
    """Whether an override is a valid seed, or the number of the job."""
    seed = SEED.fullmatch(override)
    return override.startswith(JOB_FOLDER) or (seed is not None and RULES["seed"].accepts(int(seed[1])))


class Dependence(NamedTuple):
    """Whether values of a config depend on the seed or Hydra's job; and the rest on the steps, or the steps on it."""

    on_job: bool = False
    on_steps: bool = True

    @classmethod
    def find(cls, config: DictConfig) -> "Dependence":
        """Return the dependence in a config with its interpolations."""
        texts = {str(key): repr(node) for key, node in config.items_ex(resolve=False) if key not in ("hydra", "seed")}
        steps = "".join(texts.pop(name, "") for name in STEPS)
        rest = "".join(texts.values()).replace(OWN_OVERRIDES, "") + repr(config.hydra.runtime.choices)
        on_job = DEPENDS_ON_JOB.search(steps + rest) is not None
        return cls(on_job, on_job or "${" in steps or DEPENDS_ON_STEPS.search(rest) is not None)
