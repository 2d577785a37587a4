"""Predictions of a split by the kind of the target: classes, numbers or labels."""

from collections.abc import Iterable

import torch
from torch import Tensor

from trainyard.data.loading.loader import Batch
from trainyard.data.loading.target import Classes, Numbers
from trainyard.io.errors import config_error, join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.tasks.task import Task

SplitPredictions = ClassPredictions | NumberPredictions | LabelPredictions


def split_predictions(task: Task, predictions: Tensor, targets: Tensor) -> SplitPredictions:
    """Return the predictions of a split for the kind of target that a task has.

    Args:
        task: decides what is predicted, with its thresholds.
        predictions: of the task, `[N, ...]`, on its device.
        targets: as the data has them.

    Raises:
        ConfigError: the predictions of a user's task have another shape than a report on the target needs.
    """
    target = task.target
    names, decisions = target.names, task.decisions(predictions)
    shown = decisions if isinstance(target, Numbers) else predictions
    if shown.shape[1:] != (len(names),):
        problem = f"it predicts values of shape {list(shown.shape[1:])} for each example"
        accepted = f"a task whose predictions are [{len(names)}], one for each of {join_limited(names)}"
        raise config_error("task", type(task).__qualname__, problem, accepted)
    predictions, decisions, targets = predictions.cpu(), decisions.cpu(), targets.cpu()
    if isinstance(target, Numbers):
        return NumberPredictions(decisions, targets, names)
    thresholds = task.thresholds
    if isinstance(target, Classes):
        return ClassPredictions(predictions, targets, names, decisions, next(iter(thresholds), None))
    return LabelPredictions(
        predictions, targets > 0.5, names, decisions.bool(), tuple(thresholds) or (0.5,) * len(names)
    )


@torch.inference_mode()
def predict_batches(model: SupervisedModel, batches: Iterable[Batch]) -> SplitPredictions:
    """Return the predictions of a model in evaluation mode for batches on its device."""
    predictions, targets = [], []
    for number, (x, y) in enumerate(batches):
        predictions.append(model.predict_step((x, y), number).float())
        targets.append(y)
    return split_predictions(model.task, torch.cat(predictions), torch.cat(targets))
