"""Multi-label classification: each example has any number of labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from trainyard.data.loading.target import Labels
from trainyard.tasks.task import Task
from trainyard.tasks.thresholds import best_threshold, check_threshold, f1_score


class MultiLabel(Task):
    """The task of predicting labels; the outputs are logits `[B, L]`, the targets 0 or 1 `[B, L]`.

    Args:
        target: the labels.
        threshold: of the probability of a label: a number, or the metric for which the best threshold of each label on
            the validation examples is chosen. `None` for 0.5.
        thresholds: the thresholds that a checkpoint contains, one for each label.
    """

    target: Labels
    objective = "f1"
    modes = {"f1": "max", "f1_macro": "max", "acc": "max", "loss": "min"}  # noqa: RUF012
    counts = True
    losses = ("bce",)
    metric_domain = "classification"
    default_metrics = {"average_precision": {"_target_": "torchmetrics.AveragePrecision"}}  # noqa: RUF012  # the mean

    def __init__(
        self,
        target: Labels,
        threshold: float | str | None = "f1",
        thresholds: Sequence[float] = (),
    ) -> None:
        super().__init__(target)
        self.criterion = check_threshold(threshold)
        first = 0.5 if threshold is None or isinstance(threshold, str) else threshold
        self.thresholds = [*thresholds] or [first] * self.output_size

    def describe(self) -> str:
        """Return the number of labels in words."""
        return f"{self.output_size} labels"

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return correct and wrong predictions and missed occurrences of each label, and exact matches, `[3 L + 1]`."""
        predicted, present = self.decisions(outputs.sigmoid()), targets > 0.5
        counts = [predicted & present, predicted & ~present, ~predicted & present]
        sums = [count.sum(dim=0).float() for count in counts]
        exact = (predicted == present).all(dim=1).sum().float()[None]
        return torch.cat([*sums, exact])

    def scores(self, loss: float, totals: Sequence[float], examples: float) -> dict[str, float]:
        """Return micro and macro F1, the share of exact matches and the mean loss."""
        counts = torch.tensor(totals[:-1], dtype=torch.float64).view(3, -1)
        micro, macro = f1_score(*counts.sum(dim=1)), f1_score(*counts).mean()
        return {"f1": float(micro), "f1_macro": float(macro), "acc": totals[-1] / examples, "loss": loss / examples}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label, `[B, L]`."""
        return outputs.sigmoid()

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return which labels are predicted for the probabilities of the labels, bool `[B, L]`."""
        return predictions >= torch.tensor(self.thresholds, device=predictions.device)

    @property
    def needs_outputs(self) -> bool:
        """Always true: the thresholds and the mean average precision are computed from all outputs."""
        return True

    def choose_thresholds(self, predictions: Tensor, targets: Tensor) -> bool:
        """Set the threshold of each label that is best for these examples."""
        if self.criterion:
            columns = zip(predictions.unbind(1), targets.unbind(1), strict=True)
            self.thresholds[:] = [best_threshold(scores, present > 0.5, self.criterion) for scores, present in columns]
        return bool(self.criterion)

    def example_targets(self, count: int) -> Tensor:
        """Return made-up labels, float32 `[count, L]`."""
        return (torch.arange(count)[:, None] % 2).float().expand(count, self.output_size)

    def metric_arguments(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return the kind of task of torchmetrics.

        Raises:
            ValueError: the metric is one of the most probable classes.
        """
        if "top_k" in node:
            raise ValueError("labels have no order")
        if self.output_size == 1:  # torchmetrics requires two labels
            return {"task": "binary"}
        return {"task": "multilabel", "num_labels": self.output_size}

    def metric_inputs(self, metric: Metric, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and labels; metrics with a threshold of their own get the decisions, 0 or 1."""
        values = self.decisions(predictions).float() if hasattr(metric, "threshold") else predictions
        labels = targets.long()
        return (values[:, 0], labels[:, 0]) if self.output_size == 1 else (values, labels)
