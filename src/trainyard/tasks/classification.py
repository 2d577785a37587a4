"""Classification: each example belongs to one of several classes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.target import Classes


class Classification(nn.Module):
    """The task of predicting a class; the outputs are logits `[B, K]`, the targets labels `[B]` or `[B, K]`.

    Args:
        target: the classes.
        label_smoothing: share of the target spread over all classes, in the training loss (Szegedy et al. 2016,
            arXiv:1512.00567).
    """

    metrics = {"acc": "max", "loss": "min"}  # noqa: RUF012
    weights: Tensor | None
    threshold: Tensor | None  # of the probability of the second of two classes; `None` for the most probable class

    def __init__(self, target: Classes, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.output_size = len(target.names)
        self.label_smoothing = label_smoothing
        weights = torch.tensor(target.weights) if target.weights else None
        self.register_buffer("weights", weights, persistent=False)  # the target contains them
        self.register_buffer("threshold", None)

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the summed cross-entropy; class weights and label smoothing are used in training only."""
        weights, smoothing = (self.weights, self.label_smoothing) if training else (None, 0.0)
        return F.cross_entropy(outputs, targets, weights, reduction="sum", label_smoothing=smoothing)

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions, `[1]`."""
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        return (outputs.argmax(dim=1) == labels).sum().float()[None]

    def scores(self, loss: float, totals: list[float], examples: float) -> dict[str, float]:
        """Return accuracy and mean loss."""
        return {"acc": totals[0] / examples, "loss": loss / examples}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        return outputs.softmax(dim=1)

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return the predicted class for the probabilities of each class, int64 `[B]`.

        With two classes and a threshold, it is the second class if its probability is at least the threshold.
        """
        if self.threshold is None:
            return predictions.argmax(dim=1)
        return (predictions[:, 1] >= self.threshold).long()
