"""The LightningModule that trains the networks of several jobs together."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainyard.callbacks.checkpoints import is_last_epoch
from trainyard.callbacks.finite_loss import loss_error
from trainyard.callbacks.tensorboard import current_step
from trainyard.config.objective import Objective
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import Batch
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.mlp import MLP
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.optim.schedules import StepSchedule, count_steps
from trainyard.sweeps.stacked.stacked_network import StackedNetwork


@dataclass(frozen=True)
class Epoch:
    """A validated epoch of a network, counted from 0, with the number of steps until its end."""

    number: int
    steps: int
    scores: dict[str, float]
    thresholds: list[float]


@dataclass
class Member:
    """The network of a job, with what a single run would have logged.

    Attributes:
        model: of a single run; its trainable parameters are views of the stack.
        seed: of the order of its examples.
        objective: selects its best epoch.
        optimizer: of a single run, whose parameter groups the optimizer of the stack shares.
        rows: logged values by name, each with its step.
        last, best: the last and the best epoch; `None` before the first.
        test: scores of the best weights for the test examples.
        error: what has ended the job.
    """

    model: SupervisedModel
    seed: int
    objective: Objective
    optimizer: Any = None
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    last: Epoch | None = None
    best: Epoch | None = None
    test: dict[str, float] = field(default_factory=dict)
    error: BaseException | None = None

    @property
    def network(self) -> nn.Sequential:
        """The trainable layers."""
        assert isinstance(self.model, MLP | TransferModel)
        return self.model.net if isinstance(self.model, MLP) else nn.Sequential(self.model.head)

    def add_epoch(self, epoch: Epoch) -> bool:
        """Return whether an epoch is the best so far; as in `BestCheckpoint`, `val/loss` decides a tie."""
        self.last, best = epoch, self.best
        score, loss = (epoch.scores.get(name, math.inf) for name in (self.objective.name, "val/loss"))
        if best is None:
            better = True
        elif score == best.scores[self.objective.name]:
            better = loss < best.scores.get("val/loss", math.inf)
        else:
            other = best.scores[self.objective.name]
            better = score < other if self.objective.mode == "min" else score > other
        if better:
            self.best = epoch
        return better


class StackedModel(L.LightningModule):
    """Trains K networks in one training step; each has its own examples, optimizer settings and scores.

    The loss is the sum of the losses, so each network gets its own gradient. The optimizer has the parameter groups of
    all networks, and updates each tensor by itself. A network whose loss is not finite changes no other.

    Args:
        members: sorted by seed.
        data: of all jobs.
        logged: names of what is logged every `log_every_n_steps`: `lr`, `gradient/norm`.
        largest_loss: a larger one ends a job; `None` to check no loss.
        interrupted: returns whether to stop; called after each epoch.

    Attributes:
        seeds: one for each block of networks with the same batches.
        last, best: the weights after the last and after the best epoch of each network, each `[K, ...]`.
        checkpoint: Lightning's, after the last epoch.
    """

    def __init__(
        self,
        members: Sequence[Member],
        data: DataModule,
        logged: Sequence[str],
        largest_loss: float | None,
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.members, self.data, self.logged = members, data, logged
        self.largest_loss, self.interrupted = largest_loss, interrupted
        self.models = nn.ModuleList(member.model for member in members)
        counts = Counter(member.seed for member in members)
        equal = len({*counts.values()}) == 1
        self.seeds = [*counts] if equal else [member.seed for member in members]
        self.sums: dict[str, EpochSums] = {}
        self.kept: list[Batch] = []
        self.last: list[Tensor] = []
        self.best: list[Tensor] = []
        self.checkpoint: dict[str, Any] = {}

    def configure_optimizers(self) -> Any:
        """Stack the networks, and return an optimizer with the parameter groups and the schedules of all."""
        total_steps, epoch_steps = count_steps(self.trainer), self.trainer.num_training_batches
        self.network = StackedNetwork([member.network for member in self.members])
        self.best = [stack.detach().clone() for stack in self.network.parameters]
        groups: list[dict[str, Any]] = []
        factors: list[Callable[[int], float]] = []
        for member in self.members:
            built = member.model.build_optimizer(int(total_steps), int(epoch_steps))
            member.optimizer = built["optimizer"]
            groups += member.optimizer.param_groups
            factors += built["lr_scheduler"]["scheduler"].lr_lambdas
        make = self.members[0].model.make_optimizer
        assert make is not None
        schedule = StepSchedule(make(groups), factors)
        return {"optimizer": schedule.optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero in place, since those of the networks are views."""
        for stack in self.network.parameters:
            assert stack.grad is not None
            stack.grad.zero_()

    def optimizer_zero_grad(self, *arguments: Any) -> None:
        """Set all gradients to zero."""
        self.zero_grad()

    def inputs(self, x: Tensor) -> Tensor:
        """Return the inputs of the networks for raw examples or cached features: `[S, B, ...]` -> `[S, B, F]`."""
        model = self.members[0].model
        if isinstance(model, TransferModel):
            return x
        encoded: Tensor = model.normalize(x.flatten(0, 1))
        return encoded.flatten(1).unflatten(0, x.shape[:2])

    def losses(self, x: Tensor, y: Tensor, stage: str) -> Tensor:
        """Return the mean loss of each network `[K]` for batches `[S, B, ...]`, and add them to the sums of a stage."""
        outputs = self.network(self.inputs(x))
        targets = y.repeat_interleave(len(outputs) // len(y), dim=0)
        task, training = self.members[0].model.task, stage == "train"
        losses = torch.vmap(lambda output, target: task.loss(output, target, training))(outputs, targets)
        if stage not in self.sums:
            self.sums[stage] = EpochSums(self.totals, losses.new_zeros(len(outputs)), losses.new_zeros(0))
        by_example = outputs.transpose(0, 1), targets.transpose(0, 1)  # [B, K, ...]
        self.sums[stage].add(losses, *by_example)
        if not training and task.needs_outputs:
            self.kept.append(by_example)
        return losses / y.shape[1]

    def totals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the totals of each network for outputs `[B, K, C]` and targets `[B, K, ...]`: `[M, K]`."""
        each = zip(self.members, outputs.unbind(1), targets.unbind(1), strict=True)
        return torch.stack([member.model.task.totals(output, target) for member, output, target in each], dim=1)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the sum of the losses, and each of them."""
        if "lr" in self.logged and (step := self.logged_step()) is not None:
            for member in self.members:
                groups = member.optimizer.param_groups
                self.log_row(member, step, {f"lr/{group['name']}": group["lr"] for group in groups})
        losses = self.losses(*batch, "train")
        return {"loss": losses.sum(), "losses": losses.detach()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norm of each gradient."""
        if "gradient/norm" in self.logged and (step := self.logged_step()) is not None:
            norms = [stack.grad.flatten(1).norm(dim=1) for stack in self.network.parameters if stack.grad is not None]
            for member, norm in zip(self.members, torch.stack(norms).norm(dim=0).tolist(), strict=True):
                self.log_row(member, step, {"gradient/norm": norm})

    def logged_step(self) -> int | None:
        """Return the current step if it is logged."""
        step, every = current_step(self.trainer), self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return step if every and (step + 1) % every == 0 else None

    def log_row(self, member: Member, step: int, row: dict[str, float]) -> None:
        """Add a row to those of a network that has not failed."""
        if member.error is None:
            member.rows.append((step, row))

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """End the jobs whose loss is not finite, at this step on a CPU, otherwise at the end of the epoch."""
        if self.largest_loss is None:
            return
        is_checked = self.device.type == "cpu" or batch_idx + 1 == self.trainer.num_training_batches
        if not is_checked or bool((outputs["losses"].abs() < self.largest_loss).all()):
            return
        for index, loss in enumerate(outputs["losses"].tolist()):
            member = self.members[index]
            if member.error is None and not abs(loss) < self.largest_loss:
                inputs = batch[0][index * len(batch[0]) // len(self.members)]
                finite = member.model.has_valid_inputs((inputs, inputs))
                groups = member.optimizer.param_groups
                member.error = loss_error(self.trainer, type(member.model), groups, loss, finite)
        self.trainer.should_stop |= all(member.error for member in self.members)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums."""
        x, y = batch
        self.losses(x[None], y[None], "val")

    def scores(self, stage: str) -> list[dict[str, float]]:
        """Return the scores of each network for the examples of a stage."""
        sums, found = self.sums.pop(stage).stacked(), []
        kept = [torch.cat(tensors).unbind(1) for tensors in zip(*self.kept, strict=True)] if stage != "train" else []
        for index, member in enumerate(self.members):
            own = (kept[0][index], kept[1][index]) if kept else None
            scores = member.model.task.epoch_scores(sums[:, index], own, choose=stage == "val")
            found.append({f"{stage}/{name}": torch.tensor(value).item() for name, value in scores.items()})
        self.kept = self.kept if stage == "train" else []
        return found

    def on_validation_epoch_end(self) -> None:
        """Log the scores of each network, and store the weights of those whose best epoch this is."""
        self.sums["train"].count_pending()  # with the thresholds before this validation
        steps, number = self.trainer.global_step, self.trainer.current_epoch
        better = []
        for member, val, train in zip(self.members, self.scores("val"), self.scores("train"), strict=True):
            self.log_row(member, steps - 1, {**val, **train, "epoch": number})
            better.append(member.add_epoch(Epoch(number, steps, val, [*member.model.task.thresholds])))
        chosen = torch.tensor(better, device=self.device)
        for best, stack in zip(self.best, self.network.parameters, strict=True):
            best[chosen] = stack[chosen]

    def on_train_epoch_end(self) -> None:
        """Store what the last checkpoints contain, if training ends with this epoch."""
        self.trainer.should_stop |= self.interrupted()
        if is_last_epoch(self.trainer):
            self.last = [stack.detach().clone() for stack in self.network.parameters]
            self.checkpoint = self.trainer._checkpoint_connector.dump_checkpoint()

    def on_train_end(self) -> None:
        """Test the best weights of each network, unless training was interrupted."""
        if self.trainer.current_epoch + 1 < (self.trainer.max_epochs or 0):
            return
        precision = self.trainer.precision_plugin
        for member in self.members:
            if member.best:
                member.model.task.thresholds[:] = member.best.thresholds
        self.eval()
        with torch.no_grad(), precision.forward_context():
            for stack, best in zip(self.network.parameters, self.best, strict=True):
                stack.copy_(best)
            for batch in self.data.loader("test"):
                x, y = precision.convert_input(batch)
                self.losses(x[None], y[None], "test")
        for member, scores in zip(self.members, self.scores("test"), strict=True):
            member.test = scores
            self.log_row(member, self.trainer.global_step, {**scores, "epoch": self.trainer.max_epochs or 0})
