"""Loss and accuracy of an epoch, summed in tensors on the device."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

ADDED_AT_ONCE = 32  # batches: to ask for five small operations a step takes as long as a layer


@dataclass
class EpochSums:
    """What a stage has seen so far in this epoch; nothing here makes the host wait for the device."""

    loss: Tensor
    hits: Tensor
    examples: int = 0
    waiting: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def empty(cls, device: torch.device) -> "EpochSums":
        """Return sums of nothing, float32 on the device (MPS has no float64; 2**24 hits are exact)."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: its summed loss (a scalar), logits `[B, K]` and labels `[B]` or probabilities `[B, K]`."""
        self.waiting.append((loss.detach(), logits.detach(), y if y.ndim == 1 else y.argmax(dim=1)))
        self.examples += len(y)
        if len(self.waiting) == ADDED_AT_ONCE:
            self.add_waiting()

    def add_waiting(self) -> None:
        """Add the batches that wait."""
        losses, logits, labels = zip(*self.waiting, strict=True)
        self.loss += torch.stack(losses).sum()
        self.hits += (torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum()
        self.waiting.clear()

    def stacked(self) -> Tensor:
        """Return `[loss, hits, examples]`, which processes can add up."""
        if self.waiting:
            self.add_waiting()
        return torch.stack([self.loss, self.hits, torch.full_like(self.loss, self.examples)])

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy so far, of a copy: what is added in another order is rounded differently."""
        copy = replace(self, loss=self.loss.clone(), hits=self.hits.clone(), waiting=[*self.waiting])
        loss, hits, examples = copy.stacked().tolist()
        return loss / examples, hits / examples
