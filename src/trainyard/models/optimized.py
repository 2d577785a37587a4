"""How a model learns: its optimizer, schedule and parameter groups."""

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from trainyard.models.epoch_sums import EpochSums
from trainyard.models.self_describing import SelfDescribing
from trainyard.optim.param_groups import without_decay_on_biases_and_norms
from trainyard.optim.schedules import lightning_scheduler

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]


class Optimized(SelfDescribing):
    """A model that builds its optimizer from what it was given, when Lightning asks for it.

    Attributes:
        make_optimizer: called with parameter groups; needed to fit, not to predict.
        make_scheduler: called with the optimizer, and `total_steps` where it takes it; `None` keeps the rate.
        sums: of each stage in this epoch.
    """

    make_optimizer: MakeOptimizer | None
    make_scheduler: Callable[..., Any] | None
    sums: dict[str, EpochSums]

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return what the optimizer changes in a run of so many steps: all that learns; see `Finetune.groups`."""
        return without_decay_on_biases_and_norms((n, p) for n, p in self.named_parameters() if p.requires_grad)

    def optimizer_and_schedule(self, total_steps: int, epoch_steps: int) -> dict[str, Any]:
        """Build the optimizer, and what Lightning steps its rates by, for so many optimizer steps."""
        assert self.make_optimizer is not None, "a model without an optimizer can predict, not fit"
        optimizer = self.make_optimizer(self.parameter_groups(total_steps, epoch_steps))
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": lightning_scheduler(self.make_scheduler, optimizer, total_steps),
        }

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule, for the run that Lightning is about to start."""
        self.trainer.fit_loop.setup_data()  # which counts the batches; without a limit of epochs nobody else does yet
        total_steps = int(min(self.trainer.estimated_stepping_batches, sys.maxsize))
        epoch_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        return self.optimizer_and_schedule(total_steps, epoch_steps)

    def on_validation_end(self) -> None:
        """Step a schedule that waits for a plateau, once for each validation."""
        if self.trainer.sanity_checking or self.trainer.state.fn != TrainerFn.FITTING:
            return
        for config in self.trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                self.lr_scheduler_step(config.scheduler, self.trainer.callback_metrics[str(config.monitor)])
