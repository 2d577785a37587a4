"""Classification: each example belongs to one of several classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trainyard.data.loading.target import Classes
from trainyard.io.errors import config_error
from trainyard.tasks.task import Task
from trainyard.tasks.thresholds import best_threshold, check_threshold


class Classification(Task):
    """The task of predicting a class; the outputs are logits `[B, K]`, the targets labels `[B]` or `[B, K]`.

    Args:
        target: the classes.
        threshold: of the probability of the second of two classes: a number, or the metric for which the best threshold
            on the validation examples is chosen. `None` to predict the more probable class.
        thresholds: the threshold that a checkpoint contains.
    """

    target: Classes
    objective = "acc"
    modes = {"acc": "max", "loss": "min"}  # noqa: RUF012
    counts = True
    losses = ("cross_entropy", "focal")
    reduction = "sum"
    metric_domain = "classification"

    def __init__(self, target: Classes, threshold: float | str | None = None, thresholds: Sequence[float] = ()) -> None:
        super().__init__(target)
        self.criterion = check_threshold(threshold)
        self.classes = len(target.names)
        if threshold is not None and self.classes != 2:
            problem = f"the target has {self.classes} classes"
            raise config_error("task.threshold", threshold, problem, "null, or a target of two classes")
        first = 0.5 if isinstance(threshold, str) else threshold
        self.thresholds = [*thresholds] or ([first] if first is not None else [])

    def describe(self) -> str:
        """Return the number of classes in words."""
        return f"{self.classes} classes"

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions, `[1]`."""
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)  # mixed labels have shares
        predicted = self.decisions(outputs.softmax(dim=1)) if self.thresholds else outputs.argmax(dim=1)
        return (predicted == labels).sum().float()[None]

    def scores(self, loss: float, totals: Sequence[float], examples: float) -> dict[str, float]:
        """Return accuracy and mean loss."""
        return {"acc": totals[0] / examples, "loss": loss / examples}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        return outputs.softmax(dim=1)

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return the predicted class for the probabilities of each class, int64 `[B]`.

        With two classes and a threshold, it is the second class if its probability is at least the threshold.
        """
        if not self.thresholds:
            return predictions.argmax(dim=1)
        return (predictions[:, 1] >= self.thresholds[0]).long()

    @property
    def needs_outputs(self) -> bool:
        """Whether there are further metrics, or a threshold to choose."""
        return super().needs_outputs or bool(self.criterion)

    def choose_thresholds(self, predictions: Tensor, targets: Tensor) -> bool:
        """Set the threshold that is best for these examples."""
        if self.criterion:
            self.thresholds[:] = [best_threshold(predictions[:, 1], targets == 1, self.criterion)]
        return bool(self.criterion)

    def example_targets(self, count: int) -> Tensor:
        """Return made-up labels, int64 `[count]`."""
        return torch.arange(count) % self.classes

    def metric_arguments(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the kind of task of torchmetrics; an average over two classes is that of a task of several classes.

        Raises:
            ValueError: the metric is one of two classes.
        """
        if self.classes > 2 and node["_target_"] == "torchmetrics.F1Score" and "average" not in node:
            raise ValueError("that of several classes is f1_macro")  # their micro F1 is the accuracy
        binary = self.classes == 2 and not {"average", "top_k", "task"} & {*node}
        return {"task": "binary"} if binary else {"task": "multiclass", "num_classes": self.classes}

    def metric_inputs(self, metric: Metric, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and labels; for a binary metric, the probability of the second class.

        With a threshold, metrics of predicted classes get the decisions.
        """
        several = type(metric).__name__.startswith("Multiclass") or self.classes != 2
        if self.thresholds and hasattr(metric, "top_k" if several else "threshold"):
            return self.decisions(predictions), targets
        return predictions if several else predictions[:, 1], targets
