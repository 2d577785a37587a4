"""Loss and accuracy of an epoch, summed in tensors on the device.

The small operations and Python calls of torchmetrics' `MeanMetric` and `MulticlassAccuracy` take longer than a training
step of a small network; here most of the work is done once per 32 batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

BATCHES_PER_UPDATE = 32


@dataclass
class EpochSums:
    """Sums of one stage in the current epoch; adding a batch never makes the host wait for the device.

    Attributes:
        loss, correct: summed loss and number of correct predictions, without the pending batches.
        examples: number of examples, including those of pending batches.
        losses, predictions: losses of pending batches; their logits and labels.
    """

    loss: Tensor
    correct: Tensor
    examples: int = 0
    losses: list[Tensor] = field(default_factory=list)
    predictions: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def empty(cls, device: torch.device) -> "EpochSums":
        """Return empty sums in float32: MPS has no float64, and counts are exact up to 2**24."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: its summed loss (a scalar), logits `[B, K]` and labels `[B]` or probabilities `[B, K]`."""
        if len(self.losses) == BATCHES_PER_UPDATE:
            self.add_pending()
        self.losses.append(loss.detach())
        self.predictions.append((logits.detach(), y if y.ndim == 1 else y.argmax(dim=1)))
        self.examples += len(y)

    def remove_last(self) -> None:
        """Remove the batch that was added last."""
        self.losses.pop()
        self.examples -= len(self.predictions.pop()[1])

    def add_pending(self) -> None:
        """Add the pending batches."""
        self.loss += torch.stack(self.losses).sum()
        self.losses.clear()
        self.count_correct()

    def count_correct(self) -> None:
        """Count the correct predictions of the pending batches."""
        if self.predictions:
            logits, labels = zip(*self.predictions, strict=True)
            self.correct += (torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum()
            self.predictions.clear()

    def stacked(self) -> Tensor:
        """Return `[loss, correct, examples]`, which can be summed over processes."""
        if self.losses:
            self.add_pending()
        return torch.stack([self.loss, self.correct, torch.full_like(self.loss, self.examples)])

    def means(self) -> tuple[float, float]:
        """Return the mean loss and the accuracy so far; computed on a copy, since adding early changes the rounding."""
        loss, correct, examples = self.copy().stacked().tolist()
        return loss / examples, correct / examples

    def copy(self) -> "EpochSums":
        """Return an independent copy."""
        loss, correct = self.loss.clone(), self.correct.clone()
        return replace(self, loss=loss, correct=correct, losses=[*self.losses], predictions=[*self.predictions])

    def state_dict(self) -> dict[str, Any]:
        """Return the sums in the middle of an epoch; pending losses stay separate, since the order changes rounding."""
        copy = self.copy()
        copy.count_correct()
        return {"loss": copy.loss, "correct": copy.correct, "examples": copy.examples, "losses": copy.losses}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], device: torch.device) -> "EpochSums":
        """Return the sums of `state_dict` on a device."""
        losses = [loss.to(device) for loss in state["losses"]]
        return cls(state["loss"].to(device), state["correct"].to(device), state["examples"], losses)
