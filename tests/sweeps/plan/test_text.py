"""A plan as a person reads it."""

import math
from dataclasses import replace
from pathlib import Path

from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import estimate
from trainyard.sweeps.plan.kinds import Kind
from trainyard.sweeps.plan.networks import Network
from trainyard.sweeps.plan.text import MIB, job_lines, kind_lines, total_line

COST = Cost(1.0, 0.25, math.inf, 30 * MIB, 100 * MIB, 0, 1 * MIB, 0.5 * MIB, 2 * MIB)


def jobs(count: int) -> list[Job]:
    return [Job(number, [f"seed={number}"], Path(str(number))) for number in range(count)]


def test_all_of_few_jobs_are_shown_and_the_first_and_the_last_of_many() -> None:
    few = job_lines(jobs(40), dict.fromkeys(range(40), (COST, 4)), ["seed"])
    assert few[7].split() == ["#7", "seed=7", "2.0", "s"]
    assert len(few) == 40
    many = job_lines(jobs(50), {0: (COST, 4)}, ["seed"])
    shown = [f"#{number}" for number in range(50)]
    assert [line.split()[0] for line in many] == [*shown[:20], "...", *shown[45:]]
    assert many[20] == "... 25 more"
    assert many[-1].split() == ["#49", "seed=49", "?"]


def test_a_kind_has_its_network_and_the_mean_of_its_jobs() -> None:
    kind = Kind(jobs(2), [2, 6], network=Network(1234, (3, 8, 8), (10,)), cost=COST)
    row = kind_lines([kind], ["seed"])[1]
    assert row.split() == ["all", "2", "1,234", "3x8x8", "->", "10", "2.0", "0.250", "30.0", "5.0"]
    real = Kind(jobs(1), [2], network=Network(1234, (3, 8, 8), (10,), real=True), cost="the cable is loose")
    _, row, *failed = kind_lines([real], ["seed"])
    assert row.split()[:2] == ["seed=0", "1"]
    assert row.split()[-6:] == ["with", "memory)", "?", "?", "?", "?"]
    assert failed == ["seed=0: its trial failed, and the total is without it\n  the cable is loose"]


def test_the_total_says_how_sure_it_is_and_tells_of_gpus() -> None:
    total = estimate([(COST, 4)] * 3, slots=2)
    told = "3 jobs, 2 at a time: about 9 s, 160 MiB of memory, 15.0 MiB of disk"
    assert total_line(total, 3, 2, start=5.0, bound=False) == f"total      {told}"
    assert "at most 9 s" in total_line(total, 3, 2, start=5.0, bound=True)
    on_gpus = estimate([(replace(COST, gpu=8 * MIB), 4)] * 3, slots=2)
    assert "160 MiB of memory, 16 MiB on GPUs, 15.0 MiB of disk" in total_line(on_gpus, 3, 2, start=5.0, bound=False)
