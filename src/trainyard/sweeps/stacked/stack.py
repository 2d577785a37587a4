"""The training of a stack."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.sweeps.stacked.member import Member
from trainyard.sweeps.stacked.network import StackedNetwork
from trainyard.sweeps.stacked.sums import StackedSums
from trainyard.sweeps.stacked.updates import Updates


class Stack:
    """Trains the networks of its members together, each on its own examples and with its own optimizer.

    Args:
        members: with the same data and the same layers.
        leave: called with a member and the error that ends it.
        interrupted: whether all are to stop, asked after each epoch.
    """

    def __init__(
        self,
        members: Sequence[Member],
        leave: Callable[[Member, BaseException], None],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.members = sorted(members, key=lambda member: member.seed)
        self.leave, self.interrupted = leave, interrupted
        self.here = dict(enumerate(self.members))  # those that have not left
        self.network = StackedNetwork([member.network for member in self.members])
        self.updates = Updates(self.members)
        self.examples = self.first.train_loader.examples
        seeds = [member.seed for member in self.members]
        shared = len({*Counter(seeds).values()}) == 1
        self.together = seeds.count(seeds[0]) if shared else 1  # members that see the same batches, side by side

    @property
    def first(self) -> Member:
        """One that has not left: what is the same for all is asked of it."""
        return next(iter(self.here.values()))

    def train(self) -> None:
        """Train all epochs; returns early when nobody is left."""
        epochs = self.first.trainer.max_epochs or 0
        for epoch in range(1, epochs + 1):
            train = self.train_epoch(epoch)
            if not self.here:
                return
            means = {"val": self.validate().means(), "train": train.means()}
            stop = self.interrupted()
            for place, member in list(self.here.items()):
                scores = {
                    f"{stage}/{name}": values[place]
                    for stage, found in means.items()
                    for name, values in zip(("acc", "loss"), found, strict=True)
                }
                self.attempt(place, lambda: member.end_epoch(epoch, scores, stop or epoch == epochs))  # noqa: B023  # called at once
            if stop and epoch < epochs:
                for place in list(self.here):
                    self.dismiss(place, SystemExit(1))  # which a run takes for an interruption
            if not self.here:
                return

    def train_epoch(self, epoch: int) -> StackedSums:
        """Train an epoch, counted from 1, and return what it summed."""
        sums = StackedSums()
        every = self.first.trainer.log_every_n_steps  # type: ignore[attr-defined]
        steps = (epoch - 1) * len(self.first.train_loader)
        for batch, (raw, y) in enumerate(self.batches(epoch)):
            logged = (steps + batch + 1) % every == 0
            if logged or (epoch == 1 and batch == 0):
                for place, member in list(self.here.items()):
                    own = place // self.together
                    self.attempt(place, lambda: member.begin_batch(epoch, batch, raw[own], y[own]))  # noqa: B023
            if not self.here:
                break
            x = self.first.inputs(raw.flatten(0, 1)).unflatten(0, y.shape)  # [S, B, F]
            labels = y.repeat_interleave(self.together, dim=0)  # [K, B]
            logits = self.network(x)
            model = self.first.model
            losses = summed_losses(logits, labels, model.class_weights, model.label_smoothing)
            self.network.zero_grad()
            (losses / y.shape[1]).sum().backward()
            sums.add(losses, logits, labels)
            last = batch + 1 == len(self.first.train_loader)
            if logged or last:
                for place, member in list(self.here.items()):
                    self.attempt(place, lambda: member.before_step(epoch, batch, last))  # noqa: B023
            self.updates.step()
            if not torch.isfinite(losses).all():
                self.look_at(losses, epoch, batch, x)
        return sums

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield raw examples `[S, B, ...]` and labels `[S, B]` of each block."""
        x, y = self.examples.x, self.examples.y
        assert isinstance(x, Tensor)
        samplers = [member.train_loader.sampler for member in self.members[:: self.together]]
        for sampler in samplers:
            sampler.set_epoch(epoch - 1)
        positions = torch.stack([sampler.positions() for sampler in samplers]).to(x.device)
        for index in positions.split(samplers[0].batch_size, dim=1):
            flat = index.flatten()
            yield x.index_select(0, flat).unflatten(0, index.shape), y.index_select(0, flat).view_as(index)

    @torch.no_grad()
    def validate(self) -> StackedSums:
        """Return what all networks sum on the validation examples."""
        sums, loader = StackedSums(), self.first.val_loader
        for x, y in loader:
            logits = self.network(self.first.inputs(x)[None])
            sums.add(summed_losses(logits, y.expand(len(logits), -1)), logits, y[None])
        return sums

    def look_at(self, losses: Tensor, epoch: int, batch: int, x: Tensor) -> None:
        """Dismiss the members whose loss is no number."""
        for place, loss in enumerate(losses.tolist()):
            if place in self.here and not math.isfinite(loss):
                finite = bool(x[place // self.together].isfinite().all())
                self.attempt(place, lambda: self.members[place].not_finite(epoch, batch + 1, loss, finite))  # noqa: B023

    def attempt(self, place: int, action: Callable[[], None]) -> None:
        """Do something for a member; an error is its own, and ends it alone."""
        try:
            action()
        except Exception as error:
            self.dismiss(place, error)

    def dismiss(self, place: int, error: BaseException) -> None:
        """Have a member leave; its rows of the stack go on unheeded."""
        self.updates.drop(place)
        self.leave(self.here.pop(place), error)


def summed_losses(logits: Tensor, y: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Tensor:
    """Return the summed cross entropy of each network: `[K, B, C]`, `[K, B]` -> `[K]`."""
    losses = F.cross_entropy(
        logits.flatten(0, 1), y.flatten(), weights, reduction="none", label_smoothing=label_smoothing
    )
    return losses.view(y.shape).sum(dim=1)
