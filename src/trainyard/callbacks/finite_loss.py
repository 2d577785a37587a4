"""A stop at the first loss that is not a number."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

LOOK_EVERY = 50  # steps between two looks on an accelerator: each look waits for the device


class FiniteLoss(L.Callback):
    """Ends a run whose loss became NaN or infinite, with the step and the likely cause.

    On a CPU each step is looked at; on an accelerator the last 50 at once.

    Raises:
        FloatingPointError: from a training step.
    """

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss; look at those kept when it is time."""
        self.losses.append(outputs["loss"])
        last = batch_idx + 1 == trainer.num_training_batches
        if last or pl_module.device.type == "cpu" or len(self.losses) == LOOK_EVERY:
            finite = torch.stack(self.losses).isfinite()
            if not finite.all():
                first = int((~finite).nonzero()[0])
                batches_ago = len(self.losses) - 1 - first
                self.stop(trainer, batch, float(self.losses[first]), batches_ago)
            self.losses.clear()

    def stop(self, trainer: L.Trainer, batch: Any, loss: float, batches_ago: int) -> None:
        """Raise the error that names the step and the likely cause."""
        step = trainer.global_step - batches_ago
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        inputs = batch[0]
        if inputs.is_floating_point() and not bool(inputs.isfinite().all()):
            cause = "the batch itself holds values that are not finite: look at the data"
        elif str(trainer.precision).startswith("16"):
            cause = f"half precision may overflow: try trainer.precision=32-true, or an optimizer.lr below {rate:.2g}"
        else:
            cause = (
                f"the learning rate ({rate:.2g} there) is likely too high: try optimizer.lr={min(rate / 10, 0.01):.2g}"
            )
        raise FloatingPointError(
            f"the loss became {loss} at step {step} (epoch {trainer.current_epoch + 1})\n  {cause}"
        )
