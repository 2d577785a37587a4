"""The steps of all optimizers and schedules of a stack."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainyard.sweeps.stacked.member import Member

Update = Callable[..., Any]


class Updates:
    """Steps the optimizers of the members, and then their schedules.

    An optimizer's `step` costs much more than what it has torch compute on a small network. So after the first step
    the fused kernels of Adam, AdamW and SGD are called as their `step` does, on the same states; others step by
    themselves.

    Args:
        members: in the order of the stack.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.here = dict(enumerate(members))
        self.kernels: dict[int, list[tuple[dict[str, Any], Update]]] = {}  # with the group whose rate they take
        self.counts: dict[int, list[Tensor]] = {}  # of steps, which Adam's kernels leave to others

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters by their gradients, then all rates."""
        if counts := [count for place in self.kernels for count in self.counts[place]]:
            torch._foreach_add_(counts, 1)
        for place, member in self.here.items():
            if place in self.kernels:
                for group, kernel in self.kernels[place]:
                    kernel(lr=group["lr"])
            else:
                member.optimizer.step()
                if has_kernel(member.optimizer):
                    self.kernels[place], self.counts[place] = kernels_of(member.optimizer), counts_of(member.optimizer)
            for scheduler in member.schedulers:
                advance(scheduler)

    def drop(self, place: int) -> None:
        """Leave a member's parameters alone from now on."""
        for known in (self.here, self.kernels, self.counts):
            known.pop(place, None)


def advance(scheduler: Any) -> None:
    """Step a schedule; a function of the step without what torch does beside, which takes ten times as long."""
    if type(scheduler) is not LambdaLR:
        scheduler.step()
        return
    scheduler.last_epoch += 1
    scheduler._step_count += 1
    factors = (factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas)
    rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates


def has_kernel(optimizer: Optimizer) -> bool:
    """Whether an optimizer's step is one call of torch, with a rate that is a plain number."""
    fused = all(group.get("fused") and isinstance(group["lr"], float) for group in optimizer.param_groups)
    return fused and type(optimizer) in (Adam, AdamW, SGD)


def counts_of(optimizer: Optimizer) -> list[Tensor]:
    """Return how many steps each parameter has seen, where an optimizer counts them."""
    return [state["step"] for state in optimizer.state.values() if "step" in state]


def kernels_of(optimizer: Optimizer) -> list[tuple[dict[str, Any], Update]]:
    """Return each parameter group, and what changes its parameters when it is called with a rate."""
    kernel = sgd_kernel if isinstance(optimizer, SGD) else adam_kernel
    return [(group, kernel(group, optimizer.state)) for group in optimizer.param_groups]


def adam_kernel(group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> Update:
    """Return the step of Adam or AdamW on a group, whose states are there."""
    params = group["params"]
    states = [state[p] for p in params]
    amsgrad = group["amsgrad"]
    return partial(
        torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_,
        params,
        [p.grad for p in params],
        [found["exp_avg"] for found in states],
        [found["exp_avg_sq"] for found in states],
        [found["max_exp_avg_sq"] for found in states] if amsgrad else [],
        [found["step"] for found in states],
        amsgrad=amsgrad,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
    )


def sgd_kernel(group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> Update:
    """Return the step of SGD on a group, whose momenta are there."""
    params = group["params"]
    return partial(
        torch._fused_sgd_,
        params,
        [p.grad for p in params],
        [state[p]["momentum_buffer"] for p in params] if group["momentum"] else [],
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )
