"""What every model of the project has: a checkpoint that rebuilds it, and an optimizer built from the config."""

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim import Optimizer

from trainyard.data.loading.spec import DataSpec
from trainyard.optim.optimizers import weight_decay_groups
from trainyard.optim.schedules import lightning_scheduler

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]


class PortableCheckpoint(L.LightningModule):
    """Adds to checkpoints what `trainyard.run.load_model.load_model` needs to rebuild the model."""

    spec: DataSpec
    label_smoothing: float

    def save_arguments(self, **arguments: Any) -> None:
        """Store the constructor arguments as primitives: a checkpoint must load with `weights_only=True`."""
        plain = {
            name: value if isinstance(value, str | float | int | None) else list(value)
            for name, value in arguments.items()
        }
        stored = {"spec": self.spec.to_dict(), **plain, "label_smoothing": self.label_smoothing}
        self.save_hyperparameters(stored, logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class of the model and its current validation scores."""
        kind = type(self)
        checkpoint["model_class"] = f"{kind.__module__}.{kind.__qualname__}"
        scores = self.trainer.callback_metrics
        checkpoint["metrics"] = {name: float(scores[name]) for name in scores if name.startswith("val/")}


class OptimizerMixin(L.LightningModule):
    """Builds the optimizer and the schedule when Lightning asks for them.

    Attributes:
        make_optimizer: called with parameter groups; needed to fit, not to predict.
        make_scheduler: called with the optimizer, and with `total_steps` if accepted; `None` for a constant rate.
    """

    make_optimizer: MakeOptimizer | None
    make_scheduler: Callable[..., Any] | None

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return the parameter groups for a run of `total_steps` optimizer steps; see `Finetune.groups`."""
        return weight_decay_groups((n, p) for n, p in self.named_parameters() if p.requires_grad)

    def build_optimizer(self, total_steps: int, epoch_steps: int) -> dict[str, Any]:
        """Return the optimizer and its schedule, as `configure_optimizers` returns them."""
        assert self.make_optimizer is not None, "a model without an optimizer can predict, not fit"
        optimizer = self.make_optimizer(self.parameter_groups(total_steps, epoch_steps))
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = lightning_scheduler(self.make_scheduler, optimizer, total_steps)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule for the run that Lightning is about to start."""
        self.trainer.fit_loop.setup_data()  # counts the batches, which Lightning does later if epochs are unlimited
        total_steps = int(min(self.trainer.estimated_stepping_batches, sys.maxsize))
        epoch_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        return self.build_optimizer(total_steps, epoch_steps)

    def on_validation_end(self) -> None:
        """Step schedulers that wait for a plateau, once per validation."""
        if self.trainer.sanity_checking or self.trainer.state.fn != TrainerFn.FITTING:
            return
        for config in self.trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                self.lr_scheduler_step(config.scheduler, self.trainer.callback_metrics[str(config.monitor)])
