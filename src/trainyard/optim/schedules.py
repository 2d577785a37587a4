"""Learning-rate schedules as factors of the optimizer's own rate, over the fraction of the run that is done.

Each is called with the optimizer and the number of steps of the run, which nobody has to type; with several parameter
groups each keeps its own rate, times the factor. Steps count from 0; after the last step the factor stays at its end.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from trainyard.errors import reject
from trainyard.optim.timing import timed

Factor = Callable[[float], float]


def schedule(optimizer: Optimizer, total_steps: int, factor: Factor, warmup_fraction: float = 0.0) -> LambdaLR:
    """Return the scheduler whose rate at step s is `lr * factor(progress)`.

    The first `warmup_fraction` of the steps rises linearly to `lr`, with 1/(warm-up steps) at step 0 so that no step is
    wasted; the factor then sees the progress 0..1 of what is left. A parameter group that has a `timing` joins later,
    or starts anew (see `timed`).
    """

    def cycle(step: int, steps: int) -> float:
        warmup = round(warmup_fraction * steps)
        if step < warmup:
            return (step + 1) / warmup
        return factor(min(1.0, (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(
        optimizer, [timed(cycle, total_steps, **group.get("timing", {})) for group in optimizer.param_groups]
    )


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the rate."""
    return schedule(optimizer, total_steps, lambda progress: 1.0)


def cosine(
    optimizer: Optimizer, total_steps: int, min_lr_factor: float = 0.0, warmup_fraction: float = 0.0
) -> LambdaLR:
    """Half a cosine from 1 down to `min_lr_factor` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    def factor(progress: float) -> float:
        return min_lr_factor + (1 - min_lr_factor) * (1 + math.cos(math.pi * progress)) / 2

    return schedule(optimizer, total_steps, factor, warmup_fraction)


def step(optimizer: Optimizer, total_steps: int, drop_fraction: float, gamma: float) -> LambdaLR:
    """Multiply by `gamma` after each `drop_fraction` of the run."""

    def factor(progress: float) -> float:
        drops = math.floor(progress / drop_fraction + 1e-9)  # a third of the way over one third is a whole drop
        return math.pow(gamma, drops)

    return schedule(optimizer, total_steps, factor)


def exponential(optimizer: Optimizer, total_steps: int, min_lr_factor: float) -> LambdaLR:
    """Decay by the same ratio each step, to `min_lr_factor` at the end.

    Raises:
        ConfigError: it is 0, which no ratio leads to.
    """
    if min_lr_factor == 0:
        raise reject("scheduler.min_lr_factor", min_lr_factor, "no ratio leads to it", "a number above 0 to 1")
    return schedule(optimizer, total_steps, lambda progress: min_lr_factor**progress)


def linear(
    optimizer: Optimizer, total_steps: int, min_lr_factor: float = 0.0, warmup_fraction: float = 0.0
) -> LambdaLR:
    """Fall in a straight line from 1 to `min_lr_factor`."""
    return polynomial(optimizer, total_steps, 1.0, min_lr_factor, warmup_fraction)


def polynomial(
    optimizer: Optimizer,
    total_steps: int,
    power: float,
    min_lr_factor: float = 0.0,
    warmup_fraction: float = 0.0,
) -> LambdaLR:
    """Fall from 1 to `min_lr_factor` as `(1 - progress) ** power`."""

    def factor(progress: float) -> float:
        return min_lr_factor + (1 - min_lr_factor) * math.pow(1 - progress, power)

    return schedule(optimizer, total_steps, factor, warmup_fraction)


def one_cycle(
    optimizer: Optimizer, total_steps: int, peak_fraction: float, start_lr_factor: float, min_lr_factor: float
) -> LambdaLR:
    """Rise from `start_lr_factor` to 1 until `peak_fraction` of the run, then fall to `min_lr_factor`, along cosines.

    The rates of Smith and Topin 2018 (arXiv:1708.07120) as torch's OneCycleLR anneals them; the momentum stays.
    """

    def between(start: float, end: float, progress: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2

    def factor(progress: float) -> float:
        if progress < peak_fraction:
            return between(start_lr_factor, 1.0, progress / peak_fraction)
        return between(1.0, min_lr_factor, (progress - peak_fraction) / (1 - peak_fraction))

    return schedule(optimizer, total_steps, factor)


def lightning_scheduler(make: Callable[..., Any], optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
    """Call `make` with the optimizer, and with `total_steps` if it takes that; return what Lightning steps.

    So torch's own schedulers can be named in a config too. One that waits for a plateau watches `val/loss`, and the
    model steps it after each validation: Lightning would step it at the end of each epoch, validated or not. All others
    move by the step. The name gives the same curve, `lr/weights`, to every optimizer.
    """
    takes_steps = "total_steps" in inspect.signature(make).parameters
    scheduler = make(optimizer, total_steps=total_steps) if takes_steps else make(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        never = {"interval": "epoch", "frequency": sys.maxsize}
        return {"scheduler": scheduler, **never, "monitor": "val/loss", "name": "lr"}
    return {"scheduler": scheduler, "interval": "step", "name": "lr"}
