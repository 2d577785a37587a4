"""The LightningModule that trains the networks of several jobs together."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from trainyard.callbacks.checkpoints import is_last_epoch
from trainyard.callbacks.finite_loss import FiniteLoss, loss_error
from trainyard.callbacks.tensorboard import current_step, is_logged_step
from trainyard.callbacks.tensorboard_model import GradientNorm, LearningRate
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import Batch, Loader
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.feature_cache import FeatureCache
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.optim.schedules import StepSchedule, count_steps
from trainyard.sweeps.stacked.stacked_member import Epoch, Member
from trainyard.sweeps.stacked.stacked_network import StackedNetwork

log = logging.getLogger(__name__)


class StackedModel(L.LightningModule):
    """Trains K networks in one training step; each has its own examples, optimizer settings and scores.

    The loss is the sum of the losses, so each network gets its own gradient. The optimizer updates each tensor by
    itself; networks with the same settings share its parameter groups. A network whose loss is not finite changes no
    other. Lightning only knows the network: the models of single runs have their own modes.

    Args:
        members: sorted by seed; those with the same seed share batches.
        callbacks: of the jobs, by class; they decide what is cached, logged and checked.
        interrupted: returns whether to stop; called after each epoch.

    Attributes:
        checkpoint: Lightning's, after the last epoch.
    """

    network: StackedNetwork
    checkpoint: dict[str, Any]

    def __init__(
        self,
        members: Sequence[Member],
        data: DataModule,
        callbacks: Mapping[type, Any],
        interrupted: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.members, self.data, self.callbacks, self.interrupted = members, data, callbacks, interrupted
        counts = Counter(member.seed for member in members)
        self.seeds = [*counts] if len({*counts.values()}) == 1 else [member.seed for member in members]
        data.train_dataloader = self.train_loaders  # type: ignore[method-assign,assignment]
        self.sums: dict[str, EpochSums] = {}
        self.kept: list[Batch] = []

    def train_loaders(self) -> list[Loader]:
        """Return loaders with the order and the augmentation of single runs; Lightning draws a batch of each."""
        loader = self.data.loader("train")
        return [replace(loader, sampler=replace(loader.sampler, seed=seed)) for seed in self.seeds]

    def setup(self, stage: str) -> None:
        """Compute or load the features of a frozen backbone."""
        if stage == "fit" and FeatureCache in self.callbacks:
            self.callbacks[FeatureCache].setup(self.trainer, self.members[0].model, stage)

    def configure_optimizers(self) -> Any:
        """Stack the networks, and return an optimizer and a schedule for all."""
        total_steps, epoch_steps = count_steps(self.trainer), int(self.trainer.num_training_batches)
        for member in self.members:
            self.trainer.precision_plugin.convert_module(member.model.to(self.device))
        self.network = StackedNetwork([member.network for member in self.members])
        groups: dict[str, dict[str, Any]] = {}  # by their settings
        factors: list[Callable[[int], float]] = []
        for member in self.members:
            built = member.model.build_optimizer(total_steps, epoch_steps)
            member.optimizer, lambdas = built["optimizer"], built["lr_scheduler"]["scheduler"].lr_lambdas
            for own, factor in zip(member.optimizer.param_groups, lambdas, strict=True):
                settings = repr((member.model.make_scheduler, {**own, "params": None}))
                if settings not in groups:
                    groups[settings] = {**own, "params": []}
                    factors.append(factor)
                groups[settings]["params"] += own["params"]
                member.places.append([*groups].index(settings))
        make: Any = self.members[0].model.make_optimizer
        self.optimizer = make([*groups.values()])
        self.optimizer.zero_grad = self.zero_grad
        schedule = {"scheduler": StepSchedule(self.optimizer, factors), "interval": "step"}
        return {"optimizer": self.optimizer, "lr_scheduler": schedule}

    def own_groups(self, member: Member) -> list[dict[str, Any]]:
        """Return the parameter groups of a network, with the present learning rates."""
        groups: list[dict[str, Any]] = member.optimizer.param_groups
        for own, place in zip(groups, member.places, strict=True):
            own["lr"] = self.optimizer.param_groups[place]["lr"]
        return groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set all gradients to zero in place, since those of the networks are views."""
        for stack in self.network.stacks:
            stack.grad.zero_()  # type: ignore[union-attr]

    def losses(self, x: Tensor, y: Tensor, stage: str) -> Tensor:
        """Return the mean loss of each network `[K]` for batches `[S, B, ...]`, and add them to the sums of a stage."""
        model, task, training = self.members[0].model, self.members[0].model.task, stage == "train"
        if not isinstance(model, TransferModel):
            x = model.normalize(x.flatten(0, 1)).flatten(1).unflatten(0, x.shape[:2])
        outputs = self.network(x)
        targets = y.repeat_interleave(len(outputs) // len(y), dim=0)
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

    def training_step(self, batch: Sequence[Batch], batch_idx: int) -> dict[str, Tensor]:
        """Log the learning rates; return the sum of the losses, and each of them."""
        if LearningRate in self.callbacks and is_logged_step(self.trainer):
            for member in self.members:
                rates = {f"lr/{group['name']}": group["lr"] for group in self.own_groups(member)}
                member.log(current_step(self.trainer), rates)
        x, y = map(torch.stack, zip(*batch, strict=True))
        losses = self.losses(x, y, "train")
        return {"loss": losses.sum(), "losses": losses.detach()}

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Log the norms of the gradients."""
        if GradientNorm in self.callbacks and is_logged_step(self.trainer):
            norms = [stack.grad.flatten(1).norm(dim=1) for stack in self.network.stacks]  # type: ignore[union-attr]
            for member, norm in zip(self.members, torch.stack(norms).norm(dim=0).tolist(), strict=True):
                member.log(current_step(self.trainer), {"gradient/norm": norm})

    def on_train_batch_end(self, outputs: Any, batch: Sequence[Batch], batch_idx: int) -> None:
        """End the jobs whose loss is not finite: on a CPU at this step, otherwise at the end of the epoch."""
        limit, losses = SupervisedModel.largest_loss, outputs["losses"]
        is_due = self.device.type == "cpu" or batch_idx + 1 == self.trainer.num_training_batches
        if FiniteLoss not in self.callbacks or not is_due or bool((losses.abs() < limit).all()):
            return
        for index, (member, loss) in enumerate(zip(self.members, losses.tolist(), strict=True)):
            if member.error is None and not abs(loss) < limit:
                valid = member.model.has_valid_inputs(batch[index * len(batch) // len(self.members)])
                groups = self.own_groups(member)
                member.error = loss_error(self.trainer, type(member.model), groups, loss, valid)
        self.trainer.should_stop |= all(member.error for member in self.members)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums."""
        self.losses(batch[0][None], batch[1][None], "val")

    def on_validation_epoch_end(self) -> None:
        """Log the scores of each network, and store its weights."""
        self.sums["train"].count_pending()  # with the thresholds before this validation
        steps, number = self.trainer.global_step, self.trainer.current_epoch
        weights = zip(*(stack.detach().clone() for stack in self.network.stacks), strict=True)
        each = zip(self.members, self.scores("val"), self.scores("train"), weights, strict=True)
        for member, val, train, own in each:
            member.log(steps - 1, {**val, **train, "epoch": number})
            member.add_epoch(self.trainer, Epoch(number, steps, val, [*member.model.task.thresholds], [*own]))

    def on_train_epoch_end(self) -> None:
        """Store what the last checkpoints contain, if training ends with this epoch."""
        log.info("epoch %d/%s of %d jobs", self.trainer.current_epoch + 1, self.trainer.max_epochs, len(self.members))
        stop = self.interrupted()
        if stop or is_last_epoch(self.trainer):
            self.checkpoint = self.trainer._checkpoint_connector.dump_checkpoint()
            loop = self.checkpoint["loops"]["fit_loop"]["state_dict"]
            loop["combined_loader"] = loop["combined_loader"][:1]  # each job has one of the loaders
        self.trainer.should_stop |= stop  # after the checkpoint, whose run does not stop when it is resumed

    def on_test_start(self) -> None:
        """Restore the best weights of each network."""
        for place, member in enumerate(self.members):
            for stack, best in zip(self.network.stacks, member.best.weights, strict=True):
                stack.data[place] = best
            member.model.task.thresholds[:] = member.best.thresholds

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums."""
        self.losses(batch[0][None], batch[1][None], "test")

    def on_test_epoch_end(self) -> None:
        """Log the scores of each network."""
        for member, scores in zip(self.members, self.scores("test"), strict=True):
            member.test = scores
            member.log(self.trainer.global_step, {**scores, "epoch": self.trainer.current_epoch})
