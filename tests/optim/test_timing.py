"""Tables of factors for parameters that join late, warm up, or whose schedule starts anew."""

import pytest
import torch
from torch.optim import SGD

from trainyard.optim import schedules
from trainyard.optim.timing import timed


def falling(step: int, steps: int) -> float:
    """Fall from 1 to 0 in a straight line."""
    return 1 - step / steps


# The factors of 8 steps and after the last one.
TABLES = {
    "nothing of the kind": ({}, [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    "joins": ({"joins": 3}, [0, 0, 0, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    "joins and warms up": ({"joins": 3, "warmup_steps": 2}, [0, 0, 0, 0.3125, 0.5, 0.375, 0.25, 0.125, 0]),
    "warms up to the end": ({"joins": 4, "warmup_steps": 8}, [0, 0, 0, 0, 0.0625, 0.09375, 0.09375, 0.0625, 0]),
    "starts anew": ({"restarts": [4]}, [1, 0.75, 0.5, 0.25, 1, 0.75, 0.5, 0.25, 0]),
    "starts anew lower": (
        {"restarts": [2, 6], "restart_lr_factor": 0.5},
        [1, 0.5, 0.5, 0.375, 0.25, 0.125, 0.25, 0.125, 0],
    ),
    "joins where all start anew": (
        {"joins": 4, "restarts": [4], "restart_lr_factor": 0.5},
        [0, 0, 0, 0, 0.5, 0.375, 0.25, 0.125, 0],
    ),
    "joins between two starts": ({"joins": 5, "restarts": [4]}, [0, 0, 0, 0, 0, 0.75, 0.5, 0.25, 0]),
    "never joins": ({"joins": 9}, [0] * 9),
}


@pytest.mark.parametrize("case", TABLES)
def test_table(case: str) -> None:
    options, expected = TABLES[case]
    factor = timed(falling, total_steps=8, **options)
    assert [factor(step) for step in range(9)] == pytest.approx(expected, abs=1e-12)


def test_groups_of_one_optimizer_keep_their_own_time() -> None:
    timings = [{"joins": 0}, {"joins": 1, "warmup_steps": 2}, {"joins": 2, "restarts": [2], "restart_lr_factor": 0.1}]
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


def test_each_cycle_has_the_schedules_own_warmup() -> None:
    timing = {"restarts": [4], "restart_lr_factor": 0.5}
    sgd = SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "timing": timing}], lr=1.0)
    scheduler = schedules.linear(sgd, 8, warmup_fraction=0.5)
    seen = []
    for _ in range(8):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    assert seen == pytest.approx([0.5, 1, 1, 0.5, 0.25, 0.5, 0.5, 0.25])
