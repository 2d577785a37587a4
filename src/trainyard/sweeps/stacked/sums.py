"""Losses and accuracies of an epoch, of all networks of a stack."""

import torch
from torch import Tensor

from trainyard.models.epoch_sums import BATCHES_PER_UPDATE


class StackedSums:
    """The `EpochSums` of all networks, added in the same order: tensors `[K]` on the device."""

    def __init__(self) -> None:
        self.loss: Tensor | float = 0.0
        self.correct: Tensor | float = 0.0
        self.examples = 0
        self.pending: list[tuple[Tensor, Tensor]] = []

    def add(self, losses: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: summed losses `[K]`, logits `[K, B, C]`, labels `[K, B]` or `[1, B]`."""
        self.pending.append((losses.detach(), (logits.detach().argmax(dim=2) == y).sum(dim=1)))
        self.examples += y.shape[1]
        if len(self.pending) == BATCHES_PER_UPDATE:
            self.add_pending()

    def add_pending(self) -> None:
        """Add the pending batches."""
        losses, correct = zip(*self.pending, strict=True)
        self.loss = self.loss + torch.stack(losses).sum(dim=0)
        self.correct = self.correct + torch.stack(correct).sum(dim=0)
        self.pending.clear()

    def means(self) -> tuple[list[float], list[float]]:
        """Return the accuracy and the mean loss of each network."""
        if self.pending:
            self.add_pending()
        assert isinstance(self.loss, Tensor)
        assert isinstance(self.correct, Tensor)
        return tuple([sum_ / self.examples for sum_ in sums.tolist()] for sums in (self.correct, self.loss))  # type: ignore[return-value]
