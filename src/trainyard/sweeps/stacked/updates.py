"""The optimizer and schedule steps of a stack."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainyard.optim.schedules import StepSchedule
from trainyard.sweeps.stacked.member import Member

Update = Callable[..., Any]


class Updates:
    """Steps the optimizers and schedules of all members.

    For small networks, the Python code of an optimizer's `step` takes much longer than its kernels. After the first
    step, this class calls the fused kernels of Adam, AdamW and SGD directly, with the optimizer's own state; for other
    optimizers it calls `step`.

    Args:
        members: in the order of the stack.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.active = dict(enumerate(members))
        self.kernels: dict[
            int, list[tuple[dict[str, Any], Update]]
        ] = {}  # each with the group that contains the learning rate
        self.counts: dict[int, list[Tensor]] = {}  # of steps, which Adam's kernels do not increase

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters, then all learning rates."""
        if counts := [count for index in self.kernels for count in self.counts[index]]:
            torch._foreach_add_(counts, 1)
        for index, member in self.active.items():
            if index in self.kernels:
                for group, kernel in self.kernels[index]:
                    kernel(lr=group["lr"])
            else:
                member.optimizer.step()
                if has_fused_kernel(member.optimizer):
                    self.kernels[index] = fused_kernels(member.optimizer)
                    self.counts[index] = step_counts(member.optimizer)
            for scheduler in member.schedulers:
                step_schedule(scheduler)

    def remove(self, index: int) -> None:
        """Stop updating a member."""
        for entries in (self.active, self.kernels, self.counts):
            entries.pop(index, None)


def step_schedule(scheduler: Any) -> None:
    """Step a schedule; for a `LambdaLR`, this is ten times faster than its own `step`."""
    if type(scheduler) not in (LambdaLR, StepSchedule):
        scheduler.step()
        return
    scheduler.last_epoch += 1
    scheduler._step_count += 1
    factors = (factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas)
    rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = rates


def has_fused_kernel(optimizer: Optimizer) -> bool:
    """Whether an optimizer uses a fused kernel, with a learning rate that is not a tensor."""
    fused = all(group.get("fused") and isinstance(group["lr"], float) for group in optimizer.param_groups)
    return fused and type(optimizer) in (Adam, AdamW, SGD)


def step_counts(optimizer: Optimizer) -> list[Tensor]:
    """Return the step count of each parameter, if the optimizer has them."""
    return [state["step"] for state in optimizer.state.values() if "step" in state]


def fused_kernels(optimizer: Optimizer) -> list[tuple[dict[str, Any], Update]]:
    """Return each parameter group with a function that updates its parameters, given `lr`."""
    kernel = sgd_kernel if isinstance(optimizer, SGD) else adam_kernel
    return [(group, kernel(group, optimizer.state)) for group in optimizer.param_groups]


def adam_kernel(group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> Update:
    """Return the kernel of Adam or AdamW for a group with existing state."""
    params = group["params"]
    states = [state[p] for p in params]
    amsgrad = group["amsgrad"]
    return partial(
        torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_,
        params,
        [p.grad for p in params],
        [entry["exp_avg"] for entry in states],
        [entry["exp_avg_sq"] for entry in states],
        [entry["max_exp_avg_sq"] for entry in states] if amsgrad else [],
        [entry["step"] for entry in states],
        amsgrad=amsgrad,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
    )


def sgd_kernel(group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> Update:
    """Return the kernel of SGD for a group with existing state."""
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
