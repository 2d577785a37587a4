"""The task that fits a target."""

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from trainyard.data.loading.target import Target
from trainyard.io.errors import config_error, join_limited
from trainyard.tasks.classification import Classification
from trainyard.tasks.multilabel import MultiLabel
from trainyard.tasks.regression import Regression
from trainyard.tasks.task import Task

TASKS: dict[str, type[Task]] = {"classification": Classification, "regression": Regression, "multilabel": MultiLabel}


def build_task(target: Target, config: Mapping[str, Any] | None = None, label_smoothing: float = 0.0) -> Task:
    """Return the task of a target.

    Args:
        target: what is to be predicted.
        config: arguments of the task, among them configs of the loss and of metrics; with a `_target_`, the class of a
            task of your own. `kind` is the kind of the target.
        label_smoothing: of the model.

    Raises:
        ConfigError: the target is of another kind, or loss and metrics do not fit it.
    """
    given, kind = dict(config or {}), target.kind
    loss, metrics, own, wanted = (given.pop(name, None) for name in ("loss", "metrics", "_target_", "kind"))
    if wanted not in (None, "auto", kind):
        raise config_error("task", wanted, f"the data has a target of {kind}", f"auto or {kind}")
    task_class: type[Task] = resolve_name(own) if own else TASKS[kind]
    accepted = [name for name in inspect.signature(task_class).parameters if name != "target"]
    options = {name: value for name, value in given.items() if name in accepted or value not in (None, {})}
    if unknown := [name for name in options if name not in accepted]:
        problem = f"a task of {kind} has no such option"
        raise config_error(f"task.{unknown[0]}", options[unknown[0]], problem, join_limited(accepted) or "no options")
    task = task_class(target, **options)
    task.configure(loss if loss and loss.get("_target_") else None, metrics, label_smoothing)
    task.config = dict(config or {})
    return task
