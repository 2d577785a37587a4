"""timm's optimizers by name."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch.optim import Optimizer

from trainyard.errors import did_you_mean, listing, reject


def timm_optimizer(
    opt: str, lr: float, weight_decay: float = 0.0, **options: Any
) -> Callable[[Iterable[Any]], Optimizer]:
    """Return what makes timm's optimizer `opt` over parameter groups, with its own further options.

    Raises:
        ConfigError: timm has no optimizer of that name; when it is made, if it does not take an option.
    """
    from timm.optim import list_optimizers

    known = list_optimizers()
    if opt.lower() not in known:
        raise reject("optimizer.opt", opt, f"timm has no such optimizer{did_you_mean(opt, known)}", listing(known, 40))

    return partial(make, opt=opt, lr=lr, weight_decay=weight_decay, **options)


def make(params: Iterable[Any], opt: str, **options: Any) -> Optimizer:
    """Return timm's optimizer `opt` over parameter groups."""
    from timm.optim import create_optimizer_v2

    try:
        return create_optimizer_v2(params, opt=opt, **options)  # type: ignore[no-any-return]
    except TypeError as error:
        raise reject("optimizer.opt", opt, str(error), f"the options of timm's {opt}") from error
