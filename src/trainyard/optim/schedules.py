"""Learning-rate schedules as factors of each parameter group's rate, over the completed fraction of the run.

Each function gets the optimizer and the number of steps of the run, which is injected. Steps count from 0; after the
last step the factor stays constant.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from trainyard.io.errors import config_error

Factor = Callable[[float], float]
Cycle = Callable[[int, int], float]  # the factor at a step, given the number of steps


class StepSchedule(LambdaLR):
    """A schedule that is a function of the step."""


def schedule(optimizer: Optimizer, total_steps: int, factor: Factor, warmup_fraction: float = 0.0) -> LambdaLR:
    """Return a scheduler with the rate `lr * factor(progress)`.

    In the first `warmup_fraction` of the steps the rate rises linearly to `lr`, from 1/(warm-up steps) at step 0 so
    that no step is wasted; `factor` then gets the progress 0..1 of the other steps. Parameter groups with a `timing`
    start later or restart (see `group_factor`).
    """

    def cycle(step: int, steps: int) -> float:
        warmup = round(warmup_fraction * steps)
        if step < warmup:
            return (step + 1) / warmup
        return factor(min(1.0, (step - warmup) / max(1, steps - warmup)))

    factors = [group_factor(cycle, total_steps, **group.get("timing", {})) for group in optimizer.param_groups]
    return StepSchedule(optimizer, factors)


def group_factor(
    cycle: Cycle,
    total_steps: int,
    start_step: int = 0,
    warmup_steps: int = 0,
    restarts: Sequence[int] = (),
    restart_lr_factor: float = 1.0,
) -> Callable[[int], float]:
    """Return the factor of a parameter group's rate at each step.

    Args:
        start_step: step before which the factor is 0.
        warmup_steps: steps after `start_step` in which the factor rises to that of the schedule.
        restarts: steps at which the schedule restarts; each cycle ends at the next one or with the run.
        restart_lr_factor: factor of all rates, applied again at each restart.
    """

    def at(step: int) -> float:
        if step < start_step:
            return 0.0
        starts = [0, *(restart for restart in restarts if restart <= step)]
        end = next((restart for restart in restarts if restart > step), total_steps)
        warmup = min(1.0, (step - start_step + 1) / warmup_steps) if warmup_steps else 1.0
        scale = restart_lr_factor ** (len(starts) - 1)
        return warmup * scale * cycle(step - starts[-1], end - starts[-1])

    return at


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Constant rate."""
    return schedule(optimizer, total_steps, lambda progress: 1.0)


def cosine(
    optimizer: Optimizer, total_steps: int, min_lr_factor: float = 0.0, warmup_fraction: float = 0.0
) -> LambdaLR:
    """Half a cosine from 1 down to `min_lr_factor` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    def factor(progress: float) -> float:
        return min_lr_factor + (1 - min_lr_factor) * (1 + math.cos(math.pi * progress)) / 2

    return schedule(optimizer, total_steps, factor, warmup_fraction)


def step(optimizer: Optimizer, total_steps: int, drop_fraction: float, gamma: float) -> LambdaLR:
    """Multiply the rate by `gamma` after each `drop_fraction` of the run."""

    def factor(progress: float) -> float:
        drops = math.floor(progress / drop_fraction + 1e-9)  # progress 1/3 over a fraction of 1/3 is one drop
        return math.pow(gamma, drops)

    return schedule(optimizer, total_steps, factor)


def exponential(optimizer: Optimizer, total_steps: int, min_lr_factor: float) -> LambdaLR:
    """Decay by a constant ratio per step, to `min_lr_factor` at the end; 0 is rejected, since no ratio reaches it."""
    if min_lr_factor == 0:
        raise config_error("scheduler.min_lr_factor", min_lr_factor, "no ratio reaches it", "a number above 0 to 1")
    return schedule(optimizer, total_steps, lambda progress: min_lr_factor**progress)


def linear(
    optimizer: Optimizer, total_steps: int, min_lr_factor: float = 0.0, warmup_fraction: float = 0.0
) -> LambdaLR:
    """Decrease linearly from 1 to `min_lr_factor`."""
    return polynomial(optimizer, total_steps, 1.0, min_lr_factor, warmup_fraction)


def polynomial(
    optimizer: Optimizer,
    total_steps: int,
    power: float,
    min_lr_factor: float = 0.0,
    warmup_fraction: float = 0.0,
) -> LambdaLR:
    """Decrease from 1 to `min_lr_factor` as `(1 - progress) ** power`."""

    def factor(progress: float) -> float:
        return min_lr_factor + (1 - min_lr_factor) * math.pow(1 - progress, power)

    return schedule(optimizer, total_steps, factor, warmup_fraction)


def one_cycle(
    optimizer: Optimizer, total_steps: int, peak_fraction: float, start_lr_factor: float, min_lr_factor: float
) -> LambdaLR:
    """Rise from `start_lr_factor` to 1 until `peak_fraction` of the run, then fall to `min_lr_factor`, along cosines.

    The rates of Smith and Topin 2018 (arXiv:1708.07120) as in torch's OneCycleLR; the momentum is constant.
    """

    def between(start: float, end: float, progress: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2

    def factor(progress: float) -> float:
        if progress < peak_fraction:
            return between(start_lr_factor, 1.0, progress / peak_fraction)
        return between(1.0, min_lr_factor, (progress - peak_fraction) / (1 - peak_fraction))

    return schedule(optimizer, total_steps, factor)


def lightning_scheduler(make: Callable[..., Any], optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
    """Build a scheduler, with `total_steps` if it accepts that, and return Lightning's config for it.

    `ReduceLROnPlateau` is stepped by the model after each validation, with the objective; Lightning would step it at
    the end of each epoch, validated or not. All others are stepped after each optimizer step. With the fixed name,
    the curve is named `lr/weights` for every optimizer.
    """
    takes_steps = "total_steps" in inspect.signature(make).parameters
    scheduler = make(optimizer, total_steps=total_steps) if takes_steps else make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        never = {"interval": "epoch", "frequency": sys.maxsize}
        return {"scheduler": scheduler, **never, "monitor": "val/loss", "name": "lr"}
    return {"scheduler": scheduler, "interval": "step", "name": "lr"}


def set_intervals(configs: Iterable[Any]) -> None:
    """Have schedules that are functions of the step stepped after each step.

    A module that receives any schedule as a partial usually returns it without an interval, and Lightning's default is
    the epoch.

    Args:
        configs: Lightning's `trainer.lr_scheduler_configs`.
    """
    for config in configs:
        if isinstance(config.scheduler, StepSchedule):
            config.interval, config.frequency = "step", 1


def count_steps(trainer: Any) -> int:
    """Return the number of optimizer steps of a run that is about to start."""
    trainer.fit_loop.setup_data()  # counts the batches, which Lightning does later if epochs are unlimited
    return int(min(trainer.estimated_stepping_batches, sys.maxsize))


class ScheduleFactory:
    """Calls a scheduler's factory for a module that passes only the optimizer, and adds `total_steps` if required.

    Attributes:
        module: the module that calls it; unknown until it is built.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make
        self.module: Any = None
        self.__signature__ = inspect.signature(make)  # for those who ask which arguments it accepts

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "module": None}  # hyperparameters are copied and pickled, without their module

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Build the scheduler."""
        given = self.__signature__.bind_partial(*arguments, **named).arguments
        if self.module is not None and "total_steps" in self.__signature__.parameters and "total_steps" not in given:
            named["total_steps"] = count_steps(self.module.trainer)
        return self.make(*arguments, **named)
