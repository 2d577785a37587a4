"""What jobs take together, by hand."""

import math
from dataclasses import replace

import pytest

from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import estimate, side_by_side

JOB = Cost(
    fixed=1.0, epoch=0.5, epochs=math.inf, memory=30, server=100, gpu=0, files=10, grown=2, weights=40
)  # seconds and bytes


@pytest.mark.parametrize(
    ("times", "slots", "seconds"),
    [
        ([3.0, 1.0, 1.0, 1.0], 1, 6.0),
        ([3.0, 1.0, 1.0, 1.0], 2, 3.0),
        ([1.0, 1.0, 1.0, 3.0], 2, 4.0),  # the long one comes last: it starts at 1
        ([2.0], 4, 2.0),
        ([], 2, 0.0),
    ],
)
def test_jobs_start_in_the_slot_that_is_free_first(times: list[float], slots: int, seconds: float) -> None:
    assert side_by_side(times, slots) == pytest.approx(seconds)


def test_a_job_takes_its_epochs_and_no_more_than_its_steps_allow() -> None:
    assert JOB.seconds(10) == pytest.approx(6.0)
    assert JOB.disk(10) == pytest.approx(30.0)
    assert replace(JOB, epochs=4.0).seconds(10) == pytest.approx(3.0)


def test_the_total_has_all_jobs_the_largest_side_by_side_and_the_weights_that_stay() -> None:
    large = replace(JOB, memory=70, weights=400)
    jobs = [(JOB, 2), (JOB, 4), (large, 2)]
    total = estimate(jobs, slots=2)
    assert total.work == pytest.approx(2 + 3 + 2)
    assert total.seconds == pytest.approx(4.0)
    assert total.memory == 100 + 70 + 30
    assert total.disk == (14 + 18 + 14) + (40 + 40 + 400)
    assert estimate(jobs, slots=2, keep=1).disk == (14 + 18 + 14) + 400
    assert estimate(jobs, slots=8, command=5).memory == 5 + 100 + 70 + 30 + 30
