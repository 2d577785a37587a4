"""Tables of learning rates, and torch's own schedulers as oracles."""

import inspect
import math
import pickle
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LRScheduler,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from tests.conftest import Compose
from trainyard.config.composition import instantiate
from trainyard.optim import schedules
from trainyard.optim.schedules import ScheduleFactory, group_factor, lightning_scheduler

# The learning rate of 8 steps and after the last one, for lr 1.0.
TABLES = {
    "constant": [1.0] * 9,
    "cosine": [1.0, 0.961940, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.038060, 0.0],
    "cosine scheduler.min_lr_factor=0.5": [1.0, 0.980970, 0.926777, 0.845671, 0.75, 0.654329, 0.573223, 0.519030, 0.5],
    "cosine_warmup scheduler.warmup_fraction=0.5": [0.25, 0.5, 0.75, 1.0, 1.0, 0.853553, 0.5, 0.146447, 0.0],
    "step scheduler.drop_fraction=0.25 scheduler.gamma=0.5": [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625],
    "exponential scheduler.min_lr_factor=0.00390625": [2.0**-step for step in range(9)],
    "linear": [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0],
    "linear scheduler.warmup_fraction=0.5": [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0],
    "polynomial scheduler.power=2": [(1 - step / 8) ** 2 for step in range(9)],
    "one_cycle scheduler.peak_fraction=0.5 scheduler.start_lr_factor=0 scheduler.min_lr_factor=0": [
        0.0, 0.146447, 0.5, 0.853553, 1.0, 0.853553, 0.5, 0.146447, 0.0,
    ],
}  # fmt: skip


def optimizer(lr: float = 1.0) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(scheduler: LRScheduler, of: Optimizer, steps: int) -> list[float]:
    seen = [of.param_groups[0]["lr"]]
    for _ in range(steps):
        of.step()
        scheduler.step()
        seen.append(of.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize("choice", TABLES)
def test_factors_at_steps(compose_run: Compose, choice: str) -> None:
    option, *values = choice.split()
    sgd = optimizer()
    make = instantiate(compose_run(f"scheduler={option}", *values).scheduler)
    assert rates(make(sgd, total_steps=8), sgd, 8) == pytest.approx(TABLES[choice], abs=1e-6)


ORACLES = {
    "cosine": (
        lambda sgd: schedules.cosine(sgd, 90, min_lr_factor=0.1),
        lambda sgd: CosineAnnealingLR(sgd, 90, eta_min=0.03),
    ),
    "step": (lambda sgd: schedules.step(sgd, 90, 1 / 3, 0.1), lambda sgd: StepLR(sgd, 30, 0.1)),
    "exponential": (
        lambda sgd: schedules.exponential(sgd, 90, 0.01),
        lambda sgd: ExponentialLR(sgd, math.pow(0.01, 1 / 90)),
    ),
    "polynomial": (
        lambda sgd: schedules.polynomial(sgd, 90, 0.9),
        lambda sgd: PolynomialLR(sgd, total_iters=90, power=0.9),
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_agrees_with_torch(name: str) -> None:
    ours, theirs = optimizer(0.3), optimizer(0.3)
    make, oracle = ORACLES[name]
    assert rates(make(ours), ours, 90) == pytest.approx(rates(oracle(theirs), theirs, 90), abs=1e-9)


def test_one_cycle_reaches_torchs_peak_start_and_end() -> None:
    ours, theirs = optimizer(0.3), optimizer(0.3)
    own = rates(schedules.one_cycle(ours, 100, 0.3, 1 / 25, 1 / 25 / 1e4), ours, 100)
    oracle = rates(OneCycleLR(theirs, 0.3, total_steps=101, cycle_momentum=False), theirs, 100)
    assert own[0] == pytest.approx(oracle[0])
    assert own[-1] == pytest.approx(oracle[-1])
    assert max(own) == pytest.approx(0.3)
    assert max(abs(a - b) for a, b in zip(own, oracle, strict=True)) < 0.01 * 0.3 + 0.01


def test_each_group_keeps_its_own_rate() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 0.1)]
    sgd = SGD(groups)
    scheduler = schedules.linear(sgd, 4)
    sgd.step()
    scheduler.step()
    assert [group["lr"] for group in sgd.param_groups] == pytest.approx([0.75, 0.075])


def test_torch_schedulers_can_be_composed(compose_run: Compose) -> None:
    sgd = optimizer()
    plateau = lightning_scheduler(
        instantiate(compose_run("scheduler=plateau", "task=classification").scheduler), sgd, 100
    )
    assert isinstance(plateau["scheduler"], ReduceLROnPlateau)
    assert (plateau["interval"], plateau["monitor"]) == ("epoch", "val/loss")
    cycle = lightning_scheduler(lambda opt, total_steps: OneCycleLR(opt, 0.1, total_steps=total_steps), sgd, 100)
    assert cycle["scheduler"].total_steps == 100
    assert cycle["interval"] == "step"


def test_state_is_plain_and_can_be_restored() -> None:
    first, second = optimizer(), optimizer()
    before = schedules.cosine(first, 10)
    rates(before, first, 4)
    after = schedules.cosine(second, 10)
    after.load_state_dict(before.state_dict())
    second.load_state_dict(first.state_dict())
    assert before.state_dict()["lr_lambdas"] == [None]
    assert rates(after, second, 6) == pytest.approx(rates(before, first, 6))


def falling(step: int, steps: int) -> float:
    """Fall from 1 to 0 in a straight line."""
    return 1 - step / steps


# The factors of 8 steps and after the last one.
GROUP_TABLES = {
    "no timing": ({}, [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    "starts later": ({"start_step": 3}, [0, 0, 0, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    "starts later and warms up": ({"start_step": 3, "warmup_steps": 2}, [0, 0, 0, 0.3125, 0.5, 0.375, 0.25, 0.125, 0]),
    "warms up to the end": ({"start_step": 4, "warmup_steps": 8}, [0, 0, 0, 0, 0.0625, 0.09375, 0.09375, 0.0625, 0]),
    "restarts": ({"restarts": [4]}, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    "restarts lower": (
        {"restarts": [2, 6], "restart_lr_factor": 0.5},
        [1, 0.5, 0.5, 0.375, 0.25, 0.125, 0.25, 0.125, 0],
    ),
    "starts at a restart": (
        {"start_step": 4, "restarts": [4], "restart_lr_factor": 0.5},
        [0, 0, 0, 0, 0.5, 0.375, 0.25, 0.125, 0],
    ),
    "starts after a restart": ({"start_step": 5, "restarts": [4]}, [0, 0, 0, 0, 0, 0.75, 0.5, 0.25, 0]),
    "never starts": ({"start_step": 9}, [0] * 9),
}


@pytest.mark.parametrize("case", GROUP_TABLES)
def test_group_factors(case: str) -> None:
    options, expected = GROUP_TABLES[case]
    factor = group_factor(falling, total_steps=8, **options)
    assert [factor(step) for step in range(9)] == pytest.approx(expected, abs=1e-12)


def test_groups_have_their_own_timing() -> None:
    timings = [
        {"start_step": 0},
        {"start_step": 1, "warmup_steps": 2},
        {"start_step": 2, "restarts": [2], "restart_lr_factor": 0.1},
    ]
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "timing": timing} for timing in timings]
    sgd = SGD([*groups, {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 8.0}], lr=4.0)
    scheduler = schedules.linear(sgd, 4)
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in sgd.param_groups])
        sgd.step()
        scheduler.step()
    assert torch.allclose(
        torch.tensor(seen).T, torch.tensor([[4, 3, 2, 1], [0, 1.5, 2, 1], [0, 0, 0.4, 0.2], [8, 6, 4, 2.0]])
    )


def test_each_cycle_has_a_warmup() -> None:
    timing = {"restarts": [4], "restart_lr_factor": 0.5}
    sgd = SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "timing": timing}], lr=1.0)
    scheduler = schedules.linear(sgd, 8, warmup_fraction=0.5)
    seen = []
    for _ in range(8):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    assert seen == pytest.approx([0.5, 1, 1, 0.5, 0.25, 0.5, 0.5, 0.25])


def test_a_factory_adds_the_number_of_steps_for_its_module() -> None:
    factory = ScheduleFactory(partial(schedules.cosine, min_lr_factor=0.5))
    trainer = SimpleNamespace(fit_loop=Mock(), estimated_stepping_batches=4)
    factory.module = SimpleNamespace(trainer=trainer)
    assert "total_steps" in inspect.signature(factory).parameters
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    assert [factory(optimizer=optimizer).lr_lambdas[0](step) for step in (0, 2, 4)] == pytest.approx([1, 0.75, 0.5])
    assert factory(optimizer, total_steps=2).lr_lambdas[0](2) == 0.5
    assert pickle.loads(pickle.dumps(factory)).module is None
    config = SimpleNamespace(scheduler=factory(optimizer), interval="epoch", frequency=2)
    schedules.set_intervals([config])
    assert (config.interval, config.frequency) == ("step", 1)
