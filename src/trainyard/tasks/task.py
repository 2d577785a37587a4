"""The interface between a network and its target."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets of a batch: the losses of its examples, `[B]`


class Task(Protocol):
    """Loss, metrics and interpretation of a network's outputs. A task is a `torch.nn.Module`, moved with its network.

    Attributes:
        output_size: the number of outputs of the network for an example.
        metrics: modes of the metrics that `scores` returns, by name: `min` or `max`.
    """

    output_size: int
    metrics: dict[str, str]

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the sum of the losses of a batch; class weights and smoothing are used in training only.

        Args:
            outputs: `[B, output_size]`.
            targets: as the data has them.
            training: whether the loss is minimised.
        """

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return sums over the examples of a batch from which `scores` computes the metrics, float32 `[M]`."""

    def scores(self, loss: float, totals: list[float], examples: float) -> dict[str, float]:
        """Return the metrics of an epoch by name.

        Args:
            loss: the sum of all losses.
            totals: the sum of all totals.
            examples: their number; NaN if there are none.
        """

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return what `predict_step` returns: probabilities, or numbers in the units of the data."""

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return what is predicted: the class, which labels, or the numbers."""

    def __call__(self, *arguments: Any) -> Any:
        """Not used: a task has no forward pass."""
