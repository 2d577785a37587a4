"""Losses and accuracies of an epoch, of all networks of a stack."""

import torch
from torch import Tensor

from trainyard.models.epoch_sums import BATCHES_PER_UPDATE


class StackedSums:
    """As `EpochSums` of each network, and added in the same order: `[K]`, on the device."""

    def __init__(self) -> None:
        self.loss: Tensor | float = 0.0
        self.hits: Tensor | float = 0.0
        self.examples = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []

    def add(self, losses: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: summed losses `[K]`, logits `[K, B, C]`, labels `[K, B]` or `[1, B]`."""
        self.waiting.append((losses.detach(), (logits.detach().argmax(dim=2) == y).sum(dim=1)))
        self.examples += y.shape[1]
        if len(self.waiting) == BATCHES_PER_UPDATE:
            self.add_pending()

    def add_pending(self) -> None:
        """Add the batches that wait."""
        losses, hits = zip(*self.waiting, strict=True)
        self.loss = self.loss + torch.stack(losses).sum(dim=0)
        self.hits = self.hits + torch.stack(hits).sum(dim=0)
        self.waiting.clear()

    def means(self) -> tuple[list[float], list[float]]:
        """Return the accuracy and the loss of each network."""
        if self.waiting:
            self.add_pending()
        assert isinstance(self.loss, Tensor)
        assert isinstance(self.hits, Tensor)
        return tuple([sum_ / self.examples for sum_ in sums.tolist()] for sums in (self.hits, self.loss))  # type: ignore[return-value]
