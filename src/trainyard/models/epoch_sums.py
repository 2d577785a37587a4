"""Loss and metric totals of an epoch, summed in tensors on the device.

The small operations and Python calls of torchmetrics' `MeanMetric` and `MulticlassAccuracy` take longer than a training
step of a small network; here most of the work is done once per 32 batches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

BATCHES_PER_UPDATE = 32

Totals = Callable[[Tensor, Tensor], Tensor]  # see `Task.totals`


@dataclass
class EpochSums:
    """Sums of one stage in the current epoch; adding a batch never makes the host wait for the device.

    Losses and totals may have a last dimension for several networks.

    Attributes:
        count: returns the totals of outputs and targets.
        loss: summed loss, without the pending batches.
        totals: summed totals `[M]`, without the pending batches; empty before the first.
        examples: number of examples, including those of pending batches.
        losses, pending: losses of pending batches; their outputs and targets.
    """

    count: Totals
    loss: Tensor
    totals: Tensor
    examples: int = 0
    losses: list[Tensor] = field(default_factory=list)
    pending: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @classmethod
    def empty(cls, count: Totals, device: torch.device) -> "EpochSums":
        """Return empty sums in float32: MPS has no float64, and counts are exact up to 2**24."""
        return cls(count, torch.zeros((), device=device), torch.zeros(0, device=device))

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch: its summed loss (a scalar), its outputs and its targets."""
        if len(self.losses) == BATCHES_PER_UPDATE:
            self.add_pending()
        self.losses.append(loss.detach())
        self.pending.append((outputs.detach(), targets))
        self.examples += len(targets)

    def remove_last(self) -> None:
        """Remove the batch that was added last; an empty one remains, so that there are totals in each process."""
        self.losses.pop()
        outputs, targets = self.pending.pop()
        self.pending.append((outputs[:0], targets[:0]))
        self.examples -= len(targets)

    def add_pending(self) -> None:
        """Add the pending batches."""
        if self.losses:
            self.loss += torch.stack(self.losses).sum(dim=0)
            self.losses.clear()
        self.count_pending()

    def count_pending(self) -> None:
        """Add the totals of the pending batches."""
        if self.pending:
            outputs, targets = zip(*self.pending, strict=True)
            totals = self.count(torch.cat(outputs), torch.cat(targets))
            self.totals = self.totals + totals if len(self.totals) else totals
            self.pending.clear()

    def stacked(self) -> Tensor:
        """Return `[loss, examples, *totals]`, which can be summed over processes."""
        self.add_pending()
        return torch.cat([torch.stack([self.loss, torch.full_like(self.loss, self.examples)]), self.totals])

    def copy(self) -> "EpochSums":
        """Return an independent copy."""
        losses, pending = [*self.losses], [*self.pending]
        return replace(self, loss=self.loss.clone(), totals=self.totals.clone(), losses=losses, pending=pending)

    def state_dict(self, counts: bool = True) -> dict[str, Any]:
        """Return the sums in the middle of an epoch; pending losses stay separate, since the order changes rounding.

        Args:
            counts: whether the totals are whole numbers. Otherwise pending outputs stay separate too.
        """
        copy = self.copy()
        if counts:
            copy.count_pending()
        sums = {"loss": copy.loss, "totals": copy.totals, "examples": copy.examples}
        return {**sums, "losses": copy.losses, "pending": copy.pending}

    @classmethod
    def from_state_dict(cls, count: Totals, state: Mapping[str, Any], device: torch.device) -> "EpochSums":
        """Return the sums of `state_dict` on a device."""
        losses = [loss.to(device) for loss in state["losses"]]
        totals = state["totals"] if "totals" in state else state["correct"][None]  # a checkpoint from before tasks
        pending = [(outputs.to(device), targets.to(device)) for outputs, targets in state.get("pending", ())]
        return cls(count, state["loss"].to(device), totals.to(device), state["examples"], losses, pending)
