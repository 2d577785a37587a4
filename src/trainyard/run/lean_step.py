"""A training step without the calls of hooks that nothing overrides: they take longer than a small network."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.plugins.precision import DoublePrecision, HalfPrecision, MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
REPLACED = ("on_train_batch_start", "optimizer_step", "optimizer_zero_grad", "backward")  # the first may end the epoch
TRANSFER = ("transfer_batch_to_device", "on_after_batch_transfer")
PRECISIONS = (Precision, MixedPrecision, HalfPrecision, DoublePrecision)


class LeanStep:
    """Makes the same calls as Lightning's automatic optimization, in the same order, if something overrides them.

    Args:
        trainer: for which `find_obstacle` returns `None`.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self.trainer, self.module = trainer, trainer.lightning_module
        self.progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer
        self.hooks = {name: self.find_hooks(name) for name in HOOKS}
        self.takes_index = is_param_in_hook_signature(self.module.training_step, "batch_idx", min_args=2)
        precision = trainer.precision_plugin
        self.context = nullcontext if type(precision) is Precision else precision.train_step_context
        self.clips = is_overridden("configure_gradient_clipping", self.module)
        self.transfers = trainer.strategy.root_device.type != "cpu" or bool(overridden(trainer, TRANSFER))

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, which a callback may replace between steps."""
        return self.trainer.optimizers[0]

    def find_hooks(self, name: str) -> list[Callable[..., Any]]:
        """Return the hooks of this name that are overridden, those of callbacks first."""
        callbacks: list[L.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        found = [getattr(callback, name) for callback in callbacks if is_overridden(name, callback)]
        hooks: list[Callable[..., Any]] = [partial(hook, self.trainer, self.module) for hook in found]
        return [*hooks, getattr(self.module, name)] if is_overridden(name, self.module) else hooks

    def call(self, name: str, *arguments: Any) -> None:
        """Call the hooks of this name."""
        if hooks := self.hooks[name]:
            self.set_caller(name)
            for hook in hooks:
                hook(*arguments)
            self.set_caller(None)

    def set_caller(self, name: str | None) -> None:
        """Set the name of the hook that calls `log`."""
        self.module._current_fx_name = name

    def to_device(self, batch: Any) -> Any:
        """Convert a batch to the precision of the run, and copy it to its device."""
        batch = self.trainer.precision_plugin.convert_input(batch)
        return self.trainer.strategy.batch_to_device(batch) if self.transfers else batch

    def run(self, batch: Any, batch_idx: int, accumulate: bool) -> dict[str, Any]:
        """Compute the gradient of a batch and, unless it is accumulated, update the weights; return the outputs."""
        outputs: dict[str, Any] = {}

        def closure() -> Tensor | None:
            nonlocal outputs
            with torch.enable_grad():
                loss, outputs = self.forward(batch, batch_idx)
                if batch_idx % self.trainer.accumulate_grad_batches == 0:
                    self.zero_grad()
                if loss is not None:
                    self.call("on_before_backward", loss)
                    loss.backward()
                    self.call("on_after_backward")
                if not accumulate:
                    self.call("on_before_optimizer_step", self.optimizer)
                    self.clip_gradients()
            return outputs.get("loss")

        if accumulate:
            closure()
        else:
            self.progress.step.increment_ready()
            self.optimizer.step(closure)  # type: ignore[arg-type]  # a loss may be a tensor
            self.progress.step.increment_completed()
        return outputs

    def forward(self, batch: Any, batch_idx: int) -> tuple[Tensor | None, dict[str, Any]]:
        """Return the loss of `training_step`, `None` to skip the batch, and the outputs for callbacks."""
        accumulated = self.trainer.accumulate_grad_batches
        self.set_caller("training_step")
        with self.context():
            output = self.module.training_step(*((batch, batch_idx) if self.takes_index else (batch,)))
        self.set_caller(None)
        if isinstance(output, Tensor) and accumulated == 1:
            return output, {"loss": output.detach()}
        result = ClosureResult.from_training_step_output(output, accumulated)
        return result.closure_loss, {} if result.loss is None else result.asdict()

    def zero_grad(self) -> None:
        """Set the gradients to `None`."""
        self.progress.zero_grad.increment_ready()
        self.call("on_before_zero_grad", self.optimizer)
        self.progress.zero_grad.increment_started()
        self.optimizer.zero_grad()
        self.progress.zero_grad.increment_completed()

    def clip_gradients(self) -> None:
        """Clip the gradients, if the trainer or the module requests it."""
        value = self.trainer.gradient_clip_val
        if self.clips or value is not None:
            self.module.configure_gradient_clipping(self.optimizer, value, self.trainer.gradient_clip_algorithm)


def find_obstacle(trainer: L.Trainer) -> str | None:
    """Return why a trainer needs Lightning's own step; `None` if `LeanStep` does the same."""
    module, precision, profiler = trainer.lightning_module, trainer.precision_plugin, trainer.profiler  # type: ignore[attr-defined]
    if not module.automatic_optimization or len(trainer.optimizers) != 1:
        return "the module optimizes manually, or not with one optimizer"
    if type(trainer.strategy) is not SingleDeviceStrategy:
        return f"the strategy is {type(trainer.strategy).__name__}"
    if type(precision) not in PRECISIONS or getattr(precision, "scaler", None):
        return f"the precision is {precision.precision}"
    if not isinstance(profiler, PassThroughProfiler):
        return "a profiler is used"
    if is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True):
        return "training_step reads batches itself"
    own = [name for name in REPLACED if is_overridden(name, module)]
    own += overridden(trainer, ["on_before_batch_transfer"])
    return f"{own[0]} is overridden" if own else None


def overridden(trainer: L.Trainer, hooks: Iterable[str]) -> list[str]:
    """Return those of the hooks that module or data module override."""
    parts = [trainer.lightning_module, trainer.datamodule]  # type: ignore[attr-defined]
    return [name for name in hooks if any(part is not None and is_overridden(name, part) for part in parts)]
