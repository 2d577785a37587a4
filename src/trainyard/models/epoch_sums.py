"""Loss and accuracy of an epoch, summed in tensors on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class EpochSums:
    """What a stage has seen so far in this epoch; nothing here makes the host wait for the device."""

    loss: Tensor
    hits: Tensor
    examples: int = 0

    @classmethod
    def empty(cls, device: torch.device) -> "EpochSums":
        """Return sums of nothing, float32 on the device (MPS has no float64; 2**24 hits are exact)."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: its summed loss (a scalar), logits `[B, K]` and labels `[B]` or probabilities `[B, K]`."""
        self.loss += loss
        labels = y if y.ndim == 1 else y.argmax(dim=1)
        self.hits += (logits.argmax(dim=1) == labels).sum()
        self.examples += len(y)

    def stacked(self) -> Tensor:
        """Return `[loss, hits, examples]`, which processes can add up."""
        return torch.stack([self.loss, self.hits, torch.full_like(self.loss, self.examples)])
