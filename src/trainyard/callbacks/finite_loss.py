"""What is done about a loss that is not a number, or has exploded."""

import logging
import math
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from trainyard.callbacks.snapshot import Snapshot
from trainyard.models.classifier import Classifier

log = logging.getLogger(__name__)

LOOK_EVERY = 50  # steps between two looks on an accelerator: each look waits for the device
EXPLODED = 1e8  # nats
SKIPPED_AT_MOST = 20  # steps in a row
REWOUND_AT_MOST = 10  # times


class FiniteLoss(L.Callback):
    """Ends a run whose loss became NaN, infinite or huge, with the step and the likely cause; or saves it.

    To end it, on a CPU each step is looked at, on an accelerator the last 50 at once. To save it, each step's gradient
    is looked at before the weights change; the scaler of 16-bit precision does that by itself.

    Args:
        on_nan: `stop`; `skip_batch`, no step for that batch; `rewind`, no step, and weights and optimizer as they were
            at the last epoch's end. The order of the batches and the schedule go on.

    Raises:
        FloatingPointError: from a training step, also when 20 steps in a row are skipped, or after 10 rewinds.
    """

    state_key = "FiniteLoss"

    def __init__(self, on_nan: str = "stop") -> None:
        self.on_nan = on_nan
        self.losses: list[Tensor] = []
        self.counts = {"skipped_steps": 0, "rewinds": 0}
        self.in_a_row = 0
        self.snapshot: Snapshot | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember where to go back to."""
        if self.on_nan == "rewind":
            self.snapshot = Snapshot(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember where to go back to."""
        self.on_train_start(trainer, pl_module)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Take out a gradient that is not finite, so that no weight changes; go back where that was asked for."""
        if self.on_nan == "stop" or getattr(trainer.precision_plugin, "scaler", None):
            return
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if trainer.strategy.reduce_boolean_decision(bool(norm.isfinite()), all=True):
            self.in_a_row = 0
            return
        for parameter in parameters:
            parameter.grad = None
        assert isinstance(pl_module, Classifier)
        pl_module.sums["train"].forget_last()
        self.recover(trainer, pl_module)

    def recover(self, trainer: L.Trainer, model: Classifier) -> None:
        """Count, say and, where that was asked for, go back."""
        step, epoch = trainer.global_step, trainer.current_epoch + 1
        self.in_a_row += 1
        self.counts["skipped_steps"] += 1
        done = "no step is made"
        if self.snapshot is not None:
            self.counts["rewinds"] += 1
            done = f"back to the weights after step {self.snapshot.step}"
            self.snapshot.restore(trainer, model)
        if self.in_a_row > SKIPPED_AT_MOST or self.counts["rewinds"] > REWOUND_AT_MOST:
            times = f"{self.in_a_row} batches in a row" if self.snapshot is None else f"{REWOUND_AT_MOST + 1} times"
            raise FloatingPointError(f"the gradient is not finite, {times}\n  {self.cause(trainer, True)}")
        log.warning("the gradient at step %d (epoch %d) is not finite: %s", step, epoch, done)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; look at those kept when it is time."""
        if self.on_nan != "stop":
            return
        self.losses.append(outputs["loss"])
        last = batch_idx + 1 == trainer.num_training_batches or trainer.global_step == trainer.max_steps
        if last or pl_module.device.type == "cpu" or len(self.losses) == LOOK_EVERY:
            losses = torch.stack(self.losses).tolist()
            self.losses.clear()
            for batches_ago, loss in zip(reversed(range(len(losses))), losses, strict=True):
                if not abs(loss) < EXPLODED:
                    inputs = batch[0]
                    if inputs.isnan().any():  # as a missing number of a table, which the model fills
                        inputs = pl_module.get_submodule("normalize")(inputs)
                    self.stop(trainer, bool(inputs.isfinite().all()), loss, batches_ago)

    def stop(self, trainer: L.Trainer, inputs_are_finite: bool, loss: float, batches_ago: int) -> None:
        """Raise the error that names the step and the likely cause."""
        step, epoch = trainer.global_step - batches_ago, trainer.current_epoch + 1
        value = f"{loss:.2g}" if math.isfinite(loss) else loss
        cause = self.cause(trainer, inputs_are_finite)
        raise FloatingPointError(f"the loss became {value} at step {step} (epoch {epoch})\n  {cause}")

    @staticmethod
    def cause(trainer: L.Trainer, inputs_are_finite: bool) -> str:
        """Return the likely cause, and what may help."""
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        if not inputs_are_finite:
            return "the batch itself holds values that are not finite: look at the data, or on_nan=skip_batch"
        if str(trainer.precision).startswith("16"):
            return f"half precision may overflow: try trainer.precision=32-true, or an optimizer.lr below {rate:.2g}"
        lower = f"{min(rate / 10, 0.01):.2g}"
        return f"the learning rate ({rate:.2g} there) is likely too high: try optimizer.lr={lower}"

    def state_dict(self) -> dict[str, Any]:
        """Tell the checkpoint what was done."""
        return dict(self.counts)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.counts = dict(state_dict)
