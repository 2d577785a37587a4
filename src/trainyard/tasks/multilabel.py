"""Multi-label classification: each example has any number of labels."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.target import Labels


class MultiLabel(nn.Module):
    """The task of predicting labels; the outputs are logits `[B, L]`, the targets 0 or 1 `[B, L]`.

    Args:
        target: the labels.
    """

    metrics = {"f1": "max", "f1_macro": "max", "acc": "max", "loss": "min"}  # noqa: RUF012

    thresholds: Tensor  # of the probability of each label, float32 `[L]`

    def __init__(self, target: Labels) -> None:
        super().__init__()
        self.output_size = len(target.names)
        self.register_buffer("thresholds", torch.full((self.output_size,), 0.5))

    def loss(self, outputs: Tensor, targets: Tensor, training: bool) -> Tensor:
        """Return the binary cross-entropy, averaged over the labels and summed over the examples."""
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="sum") / self.output_size

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return correct and wrong predictions and missed occurrences of each label, and exact matches, `[3 L + 1]`."""
        predicted, present = outputs > 0, targets > 0.5
        counts = [predicted & present, predicted & ~present, ~predicted & present]
        sums = [count.sum(dim=0).float() for count in counts]
        exact = (predicted == present).all(dim=1).sum().float()[None]
        return torch.cat([*sums, exact])

    def scores(self, loss: float, totals: list[float], examples: float) -> dict[str, float]:
        """Return micro and macro F1 at a threshold of 0.5, the share of exact matches and the mean loss."""
        count = self.output_size
        hits, wrong, missed = (totals[place * count : (place + 1) * count] for place in range(3))
        f1 = [f1_score(*label) for label in zip(hits, wrong, missed, strict=True)]
        micro = f1_score(sum(hits), sum(wrong), sum(missed))
        scores = {"f1": micro, "f1_macro": sum(f1) / count, "acc": totals[-1] / examples}
        return {**scores, "loss": loss / examples}

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return the probability of each label, `[B, L]`."""
        return outputs.sigmoid()

    def decisions(self, predictions: Tensor) -> Tensor:
        """Return which labels are predicted for the probabilities of the labels, bool `[B, L]`."""
        return predictions >= self.thresholds


def f1_score(hits: float, wrong: float, missed: float) -> float:
    """Return the F1 score of counts; 0 without any."""
    total = 2 * hits + wrong + missed
    return 2 * hits / total if total else 0.0
