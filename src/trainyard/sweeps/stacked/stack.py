"""The training loop of a stack."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.sweeps.stacked.member import Member
from trainyard.sweeps.stacked.network import StackedNetwork
from trainyard.sweeps.stacked.sums import StackedSums
from trainyard.sweeps.stacked.updates import Updates


class Stack:
    """Trains the networks of all members together, each with its own order of examples and optimizer.

    Args:
        members: with the same data and the same layers.
        on_error: called with a member and the error that ends it.
        interrupted: returns whether all should stop; called after each epoch.
    """

    def __init__(
        self,
        members: Sequence[Member],
        on_error: Callable[[Member, BaseException], None],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.members = sorted(members, key=lambda member: member.seed)
        self.on_error, self.interrupted = on_error, interrupted
        self.active = dict(enumerate(self.members))
        self.network = StackedNetwork([member.network for member in self.members])
        self.updates = Updates(self.members)
        self.examples = self.first.train_loader.examples
        seeds = [member.seed for member in self.members]
        equal_counts = len({*Counter(seeds).values()}) == 1
        self.block_size = seeds.count(seeds[0]) if equal_counts else 1  # members with the same batches

    @property
    def first(self) -> Member:
        """The first active member, for settings that all share."""
        return next(iter(self.active.values()))

    def train(self) -> None:
        """Train all epochs, or until no member is active."""
        epochs = self.first.trainer.max_epochs or 0
        for epoch in range(1, epochs + 1):
            train = self.train_epoch(epoch)
            if not self.active:
                return
            means = {"val": self.validate().means(), "train": train.means()}
            stop = self.interrupted()
            for index, member in list(self.active.items()):
                scores = {
                    f"{stage}/{name}": values[index]
                    for stage, both in means.items()
                    for name, values in zip(("acc", "loss"), both, strict=True)
                }
                self.attempt(index, lambda: member.end_epoch(epoch, scores, stop or epoch == epochs))  # noqa: B023  # called at once
            if stop and epoch < epochs:
                for index in list(self.active):
                    self.remove(index, SystemExit(1))  # a run ends as interrupted
            if not self.active:
                return

    def train_epoch(self, epoch: int) -> StackedSums:
        """Train an epoch, counted from 1, and return its sums."""
        sums = StackedSums()
        every = self.first.trainer.log_every_n_steps  # type: ignore[attr-defined]
        steps = (epoch - 1) * len(self.first.train_loader)
        for batch, (raw, y) in enumerate(self.batches(epoch)):
            logged = (steps + batch + 1) % every == 0
            if logged or (epoch == 1 and batch == 0):
                for index, member in list(self.active.items()):
                    block = index // self.block_size
                    self.attempt(index, lambda: member.begin_batch(epoch, batch, raw[block], y[block]))  # noqa: B023
            if not self.active:
                break
            x = self.first.inputs(raw.flatten(0, 1)).unflatten(0, y.shape)  # [S, B, F]
            labels = y.repeat_interleave(self.block_size, dim=0)  # [K, B]
            logits = self.network(x)
            model = self.first.model
            task: Any = model.task  # classification
            smoothing = task.loss_functions[True].label_smoothing
            losses = summed_losses(logits, labels, task.weights, smoothing)
            self.network.zero_grad()
            (losses / y.shape[1]).sum().backward()
            sums.add(losses, logits, labels)
            last = batch + 1 == len(self.first.train_loader)
            if logged or last:
                for index, member in list(self.active.items()):
                    self.attempt(index, lambda: member.before_step(epoch, batch, last))  # noqa: B023
            self.updates.step()
            if not torch.isfinite(losses).all():
                self.check_losses(losses, epoch, batch, x)
        return sums

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield raw examples `[S, B, ...]` and labels `[S, B]` of each block."""
        x, y = self.examples.x, self.examples.y
        assert isinstance(x, Tensor)
        samplers = [member.train_loader.sampler for member in self.members[:: self.block_size]]
        for sampler in samplers:
            sampler.set_epoch(epoch - 1)
        positions = torch.stack([sampler.positions() for sampler in samplers]).to(x.device)
        for index in positions.split(samplers[0].batch_size, dim=1):
            flat = index.flatten()
            yield x.index_select(0, flat).unflatten(0, index.shape), y.index_select(0, flat).view_as(index)

    @torch.no_grad()
    def validate(self) -> StackedSums:
        """Return the sums of all networks on the validation examples."""
        sums, loader = StackedSums(), self.first.val_loader
        for x, y in loader:
            logits = self.network(self.first.inputs(x)[None])
            sums.add(summed_losses(logits, y.expand(len(logits), -1)), logits, y[None])
        return sums

    def check_losses(self, losses: Tensor, epoch: int, batch: int, x: Tensor) -> None:
        """Remove the members whose loss is not finite."""
        for index, loss in enumerate(losses.tolist()):
            if index in self.active and not math.isfinite(loss):
                finite = bool(x[index // self.block_size].isfinite().all())
                self.attempt(index, lambda: self.members[index].report_non_finite(epoch, batch + 1, loss, finite))  # noqa: B023

    def attempt(self, index: int, action: Callable[[], None]) -> None:
        """Call a function for a member; an error ends this member only."""
        try:
            action()
        except Exception as error:
            self.remove(index, error)

    def remove(self, index: int, error: BaseException) -> None:
        """End a member with an error; the result of its network is no longer used."""
        self.updates.remove(index)
        self.on_error(self.active.pop(index), error)


def summed_losses(logits: Tensor, y: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """Return the summed cross entropy of each network: `[K, B, C]`, `[K, B]` -> `[K]`."""
    losses = F.cross_entropy(
        logits.flatten(0, 1), y.flatten(), weights, reduction="none", label_smoothing=label_smoothing
    )
    return losses.view(y.shape).sum(dim=1)
