"""A stop at the first loss that is not a number."""

import math
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
            losses = torch.stack(self.losses).tolist()
            self.losses.clear()
            for batches_ago, loss in zip(reversed(range(len(losses))), losses, strict=True):
                if not math.isfinite(loss):
                    inputs = batch[0]
                    if inputs.isnan().any():  # as a missing number of a table, which the model fills
                        inputs = pl_module.get_submodule("normalize")(inputs)
                    self.stop(trainer, bool(inputs.isfinite().all()), loss, batches_ago)

    def stop(self, trainer: L.Trainer, inputs_are_finite: bool, loss: float, batches_ago: int) -> None:
        """Raise the error that names the step and the likely cause."""
        step = trainer.global_step - batches_ago
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        if not inputs_are_finite:
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
