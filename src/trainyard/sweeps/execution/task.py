"""What one process is given to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig


@dataclass(frozen=True)
class Task:
    """Jobs that one process runs: a single one, or a stack that trains together.

    Attributes:
        numbers, configs: of each job.
    """

    numbers: Sequence[int]
    configs: Sequence[DictConfig]
