"""The length of the gradient."""

from typing import Any

import lightning as L
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer


class GradientNorm(L.Callback):
    """Logs `gradient/norm`, over all that learns and before clipping, as often as the learning rate is logged.

    What mixed precision in 16 bits scales the gradients by is taken out.
    """

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Log, when it is time."""
        if not trainer._logger_connector.should_update_logs:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm: Any = get_total_norm(gradients)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        scale = scaler.get_scale() if scaler else 1.0
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for logger in trainer.loggers:
            logger.log_metrics({"gradient/norm": float(norm) / scale}, step)
