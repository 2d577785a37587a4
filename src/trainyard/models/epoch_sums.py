"""Loss and accuracy of an epoch, summed in tensors on the device."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

ADDED_AT_ONCE = 32  # batches: to ask for five small operations a step takes as long as a layer


@dataclass
class EpochSums:
    """What a stage has seen so far in this epoch; nothing here makes the host wait for the device."""

    loss: Tensor
    hits: Tensor
    examples: int = 0
    losses: list[Tensor] = field(default_factory=list)  # of batches that wait to be added
    answers: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # their logits and labels

    @classmethod
    def empty(cls, device: torch.device) -> "EpochSums":
        """Return sums of nothing, float32 on the device (MPS has no float64; 2**24 hits are exact)."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, logits: Tensor, y: Tensor) -> None:
        """Add a batch: its summed loss (a scalar), logits `[B, K]` and labels `[B]` or probabilities `[B, K]`."""
        if len(self.losses) == ADDED_AT_ONCE:
            self.add_waiting()
        self.losses.append(loss.detach())
        self.answers.append((logits.detach(), y if y.ndim == 1 else y.argmax(dim=1)))
        self.examples += len(y)

    def forget_last(self) -> None:
        """Take out the batch that was added last, as one that taught nothing."""
        self.losses.pop()
        self.examples -= len(self.answers.pop()[1])

    def add_waiting(self) -> None:
        """Add the batches that wait."""
        self.loss += torch.stack(self.losses).sum()
        self.losses.clear()
        self.add_hits()

    def add_hits(self) -> None:
        """Add the hits of the batches that wait, which are whole numbers: so it does not matter when."""
        if self.answers:
            logits, labels = zip(*self.answers, strict=True)
            self.hits += (torch.cat(logits).argmax(dim=1) == torch.cat(labels)).sum()
            self.answers.clear()

    def stacked(self) -> Tensor:
        """Return `[loss, hits, examples]`, which processes can add up."""
        if self.losses:
            self.add_waiting()
        return torch.stack([self.loss, self.hits, torch.full_like(self.loss, self.examples)])

    def means(self) -> tuple[float, float]:
        """Return mean loss and accuracy so far, of a copy: what is added in another order is rounded differently."""
        loss, hits, examples = self.copied().stacked().tolist()
        return loss / examples, hits / examples

    def copied(self) -> "EpochSums":
        """Return sums of their own that are the same."""
        loss, hits = self.loss.clone(), self.hits.clone()
        return replace(self, loss=loss, hits=hits, losses=[*self.losses], answers=[*self.answers])

    def state_dict(self) -> dict[str, Any]:
        """Return the sums in the middle of an epoch; losses that wait stay apart, since the order of adding counts."""
        copy = self.copied()
        copy.add_hits()
        return {"loss": copy.loss, "hits": copy.hits, "examples": copy.examples, "losses": copy.losses}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], device: torch.device) -> "EpochSums":
        """Return the sums that `state_dict` gave, on a device."""
        losses = [loss.to(device) for loss in state["losses"]]
        return cls(state["loss"].to(device), state["hits"].to(device), state["examples"], losses)
