"""The thresholds of probabilities by which a task decides."""

from torch import Tensor

from trainyard.tasks.task import Task

NAMES = ("threshold", "thresholds")  # attributes of a task: of the second of two classes, of each label


def find_thresholds(task: Task) -> dict[str, Tensor]:
    """Return the thresholds of a task by the name of their attribute; empty if it has none."""
    found = {name: getattr(task, name, None) for name in NAMES}
    return {name: value for name, value in found.items() if value is not None}
