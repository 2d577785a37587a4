"""The task that fits a target."""

from trainyard.data.loading.target import Classes, Numbers, Target
from trainyard.io.errors import config_error
from trainyard.tasks.classification import Classification
from trainyard.tasks.multilabel import MultiLabel
from trainyard.tasks.regression import Regression
from trainyard.tasks.task import Task


def build_task(target: Target, label_smoothing: float = 0.0) -> Task:
    """Return the task of a target.

    Raises:
        ConfigError: label smoothing for another target than classes.
    """
    if isinstance(target, Classes):
        return Classification(target, label_smoothing)
    if label_smoothing:
        accepted = "0, or a target of classes"
        raise config_error("model.label_smoothing", label_smoothing, "smooths the targets of classes only", accepted)
    return Regression(target) if isinstance(target, Numbers) else MultiLabel(target)
