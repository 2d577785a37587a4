"""The base class of tasks: what a network learns."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from trainyard.data.loading.target import Target
from trainyard.io.errors import config_error
from trainyard.tasks.losses import Loss, build_loss
from trainyard.tasks.metrics import build_metrics, compute_metrics


class Task(nn.Module):
    """Loss, metrics and interpretation of a network's outputs, for one kind of target; see `build_task`.

    A subclass defines the class attributes and the methods that raise NotImplementedError here. A subclass without
    `losses` also defines `loss`.

    Args:
        target: what is to be predicted.
        output_size: number of outputs of the network for an example; by default one for each name of the target.

    Attributes:
        objective: the metric by which runs are compared, unless the user names another.
        modes: the metrics that `scores` returns, each with its mode, `min` or `max`.
        losses: the options of `conf/loss` that fit, the default first; classes without an option are accepted too.
        reduction: of the loss; `sum` if an example has one loss, `none` if each of its outputs has one.
        counts: whether `totals` are whole numbers, whose sum does not depend on the order.
        metric_domain: subpackage of torchmetrics whose metrics fit; empty for any.
        default_metrics: configs of further metrics that are always computed.
        metrics: further metrics by name; computed once per epoch from all outputs.
        thresholds: probabilities from which classes or labels are predicted; empty for the most probable class.
        config: arguments of `build_task`; a checkpoint contains them.
    """

    objective: ClassVar[str]
    modes: ClassVar[Mapping[str, str]]
    losses: ClassVar[Sequence[str]] = ()
    reduction: ClassVar[str] = "none"
    counts: ClassVar[bool] = False
    metric_domain: ClassVar[str] = ""
    default_metrics: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    weights: Tensor | None

    def __init__(self, target: Target, output_size: int | None = None) -> None:
        super().__init__()
        self.target = target
        self.output_size = output_size or len(target.names)
        self.config: dict[str, Any] = {}
        self.metrics: dict[str, Metric] = {}
        self.thresholds: list[float] = []
        self.loss_functions: tuple[Loss, ...] = ()  # of evaluation and training; a tuple, so not in the state_dict
        weights = getattr(target, "weights", ())
        self.register_buffer("weights", torch.tensor(weights) if weights else None, persistent=False)

    def configure(
        self, loss: Mapping[str, Any] | None, metrics: Mapping[str, Mapping[str, Any]] | None, label_smoothing: float
    ) -> None:
        """Build the loss and the further metrics.

        Args:
            loss: config of the loss, with a `_target_`; `None` for the default.
            metrics: configs by name, each with a `_target_`.
            label_smoothing: share of the target spread over all classes, in the training loss (Szegedy et al. 2016,
                arXiv:1512.00567).

        Raises:
            ConfigError: loss or metrics do not fit the task.
        """
        if self.losses:
            has_weights = self.weights is not None
            self.loss_functions = (
                build_loss(self.losses, loss, self.reduction),
                build_loss(self.losses, loss, self.reduction, has_weights, label_smoothing),
            )
        elif loss or label_smoothing:
            key, value = ("loss", loss["_target_"]) if loss else ("model.label_smoothing", label_smoothing)
            raise config_error(key, value, f"{type(self).__name__} has a loss of its own", "without it")
        self.metrics = build_metrics({**self.default_metrics, **(metrics or {})}, self)

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the summed loss of a batch; class weights and label smoothing are used in training only.

        Args:
            outputs: `[B, output_size]`.
            targets: as the data has them: labels `[B]`, or `[B, T]`.
            training: whether the loss is minimised.
        """
        function = self.loss_functions[training]
        if training and self.weights is not None:
            function.weight = self.weights  # type: ignore[attr-defined]  # on the device of the network
        loss = function(outputs, self.loss_targets(targets))
        if loss.ndim == 1:  # of each example
            return loss.sum()
        if loss.ndim:
            return loss.sum() * len(loss) / max(1, loss.numel())
        return loss if getattr(function, "reduction", "mean") == "sum" else loss * len(targets)

    def loss_targets(self, targets: Tensor) -> Tensor:
        """Return the targets with which the loss compares the outputs; by default as they are."""
        return targets

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return sums over the examples of a batch from which `scores` computes the metrics, float32 `[M]`."""
        raise NotImplementedError

    def scores(self, loss: float, totals: Sequence[float], examples: float) -> dict[str, float]:
        """Return the metrics of an epoch by name.

        Args:
            loss: sum of the losses.
            totals: sum of the totals.
            examples: their number; NaN if there are none.
        """
        raise NotImplementedError

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return what `predict_step` returns: probabilities, or numbers in the units of the data."""
        raise NotImplementedError

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return what is predicted: the class, which labels, or the numbers."""
        return predictions

    def epoch_scores(
        self, sums: Tensor, examples: tuple[Tensor, Tensor] | None = None, choose: bool = False
    ) -> dict[str, float]:
        """Return all metrics of an epoch by name.

        Args:
            sums: the summed loss, the number of examples and the totals, `[2 + M]`.
            examples: outputs and targets of the epoch, if the task needs them.
            choose: whether to choose the thresholds for these examples.
        """
        loss, count, *totals = sums.tolist()
        further = {}
        if examples is not None:
            outputs, targets = examples
            predictions = self.predictions(outputs)
            if choose and self.choose_thresholds(predictions, targets):
                totals = self.totals(outputs, targets).tolist()
            further = compute_metrics(self, predictions, targets)
        return {**self.scores(loss, totals, count or math.nan), **further}  # NaN if all batches were skipped

    def metric_modes(self) -> dict[str, str | None]:
        """Return the mode of each metric, the objective first; `None` if it is not known."""
        modes = {True: "max", False: "min", None: None}
        further = {name: modes[metric.higher_is_better] for name, metric in self.metrics.items()}
        return {self.objective: self.modes[self.objective], **self.modes, **further}

    @property
    def needs_outputs(self) -> bool:
        """Whether all outputs of an epoch are kept until its end."""
        return bool(self.metrics)

    def choose_thresholds(self, predictions: Tensor, targets: Tensor) -> bool:
        """Set the thresholds that are best for these examples; return whether the task has any to choose."""
        return False

    def describe(self) -> str:
        """Return what is predicted in a few words."""
        return f"{self.output_size} outputs"

    def example_targets(self, count: int) -> Tensor:
        """Return made-up targets, with which metrics are tried before a run."""
        raise NotImplementedError

    def metric_arguments(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments for the metric of a config, of those that its class accepts and the config does not set."""
        return {}

    def metric_inputs(self, metric: Metric, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a metric is updated with."""
        return predictions, targets
