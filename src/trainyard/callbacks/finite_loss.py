"""Stops the run, or skips the batch, if the loss is not finite."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from trainyard.callbacks.protocols import ChecksInputs, DiscardsBatches, tensors
from trainyard.config.arguments import parameters

log = logging.getLogger(__name__)

CHECK_EVERY = 50  # steps on an accelerator, since each check waits for the device
MAX_SKIPPED = 20  # steps in a row


class FiniteLoss(L.Callback):
    """Handles a loss or gradient that is NaN, infinite or huge.

    Args:
        on_nan: `stop` raises a FloatingPointError with the step and the likely cause. Each loss is checked on a CPU,
            the last 50 together on an accelerator. `skip_batch` skips the optimizer step if the gradient is not finite,
            as the gradient scaler of 16-bit precision does, and raises after 20 skipped steps in a row.
    """

    state_key = "FiniteLoss"

    def __init__(self, on_nan: str = "stop") -> None:
        self.on_nan = on_nan
        self.losses: list[Tensor] = []
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.largest_loss = math.inf

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if isinstance(pl_module, ChecksInputs):
            self.largest_loss = pl_module.largest_loss

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Remove a gradient that is not finite, so that the weights do not change."""
        if self.on_nan == "stop" or getattr(trainer.precision_plugin, "scaler", None):
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if trainer.strategy.reduce_boolean_decision(bool(norm.isfinite()), all=True):
            self.skipped_in_a_row = 0
            return
        for parameter in parameters:
            parameter.grad = None
        if isinstance(pl_module, DiscardsBatches):
            pl_module.discard_last_batch()
        self.count_skipped(trainer)

    def count_skipped(self, trainer: L.Trainer) -> None:
        """Count and log a skipped step; raise after too many in a row."""
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > MAX_SKIPPED:
            problem = f"the gradient is not finite, {self.skipped_in_a_row} batches in a row"
            cause = likely_cause(trainer, type(trainer.lightning_module), optimizer_groups(trainer), True)
            raise FloatingPointError(f"{problem}\n  {cause}")
        text = "the gradient at step %d (epoch %d) is not finite: the step is skipped"
        log.warning(text, trainer.global_step, trainer.current_epoch + 1)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.on_nan != "stop":
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and loss.numel() == 1:  # with manual optimization, there may be none
            self.losses.append(loss.detach())
        due = pl_module.device.type == "cpu" or len(self.losses) == CHECK_EVERY
        if not (due or batch_idx + 1 == trainer.num_training_batches or trainer.global_step == trainer.max_steps):
            return
        losses = [loss.item() for loss in self.losses]
        self.losses.clear()
        for batches_ago, loss in zip(reversed(range(len(losses))), losses, strict=True):
            if not abs(loss) < self.largest_loss:
                model, groups = type(trainer.lightning_module), optimizer_groups(trainer)
                raise loss_error(trainer, model, groups, loss, has_valid_inputs(pl_module, batch), batches_ago)

    def state_dict(self) -> dict[str, Any]:
        return {"skipped_steps": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped_steps"]


def has_valid_inputs(model: L.LightningModule, batch: Any) -> bool:
    """Return whether a model can process a batch; by default, if all of its numbers are finite."""
    if isinstance(model, ChecksInputs):
        return model.has_valid_inputs(batch)
    return all(bool(tensor.isfinite().all()) for tensor in tensors(batch))


def optimizer_groups(trainer: L.Trainer) -> list[dict[str, Any]]:
    """Return the parameter groups of all optimizers."""
    return [group for optimizer in trainer.optimizers for group in optimizer.param_groups]


def loss_error(
    trainer: L.Trainer,
    model: Any,
    groups: Sequence[Mapping[str, Any]],
    loss: float,
    inputs_are_finite: bool,
    batches_ago: int = 0,
) -> FloatingPointError:
    """Return an error with the step of a loss that is not finite, and the likely cause.

    Args:
        model: class of the model.
        groups: parameter groups of its optimizers.
    """
    step, epoch = trainer.global_step - batches_ago, trainer.current_epoch + 1
    value = f"{loss:.2g}" if math.isfinite(loss) else loss
    cause = likely_cause(trainer, model, groups, inputs_are_finite)
    return FloatingPointError(f"the loss became {value} at step {step} (epoch {epoch})\n  {cause}")


def likely_cause(trainer: L.Trainer, model: Any, groups: Sequence[Mapping[str, Any]], inputs_are_finite: bool) -> str:
    """Return the likely cause of a loss that is not finite, and a remedy."""
    if not inputs_are_finite:
        return "the batch contains values that are not finite: check the data, or use on_nan=skip_batch"
    rate = max((group["lr"] for group in groups), default=0.0)
    if str(trainer.precision).startswith("16"):
        return f"half precision may overflow: try trainer.precision=32-true, or a learning rate below {rate:.2g}"
    lower = f"{min(rate / 10, 0.01):.2g}"
    accepts_optimizer = "optimizer" in parameters(model)[0]
    remedy = f"optimizer.lr={lower}" if accepts_optimizer else f"a rate of {lower}"
    return f"the learning rate ({rate:.2g} at this step) is likely too high: try {remedy}"
