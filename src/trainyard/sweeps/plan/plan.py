"""What a sweep will take: its jobs, their networks, and the time, the memory and the disk of all."""

import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

from trainyard.sweeps.execution.checks import refuse
from trainyard.sweeps.execution.processes import Slots
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import estimate
from trainyard.sweeps.plan.kinds import kinds_of
from trainyard.sweeps.plan.networks import networks_of
from trainyard.sweeps.plan.text import job_lines, kind_lines, total_line
from trainyard.sweeps.plan.trials import try_out

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launcher import LocalLauncher


def plan(
    jobs: Sequence[Job],
    axes: Sequence[str],
    launcher: "LocalLauncher",
    count: int | None = None,
    keep: int | None = None,
) -> str:
    """Return what jobs will take, as a person reads it, by a trial of each kind of them.

    Args:
        jobs: that are left to do, or a sample of them.
        axes: keys that vary.
        launcher: that will run them.
        count: of the jobs that the sample stands for; `None` where it is all of them.
        keep: number of the jobs whose checkpoints stay; `None` for all.

    Raises:
        ConfigError: jobs that cannot work; all are named.
    """
    began = time.perf_counter()
    refuse(launcher.impossible([job.overrides for job in jobs]), jobs, axes)
    start = time.perf_counter() - began
    kinds = kinds_of(jobs, (launcher.compose(job.overrides) for job in jobs))
    samples = list(launcher.composed([kind.longest.overrides for kind in kinds], 0))
    networks = networks_of((config for _, config in samples), launcher.processes)
    print(f"plan       {len(kinds)} kinds of jobs are tried, for a few seconds each", flush=True)
    slots = Slots(launcher.slots, launcher.task, launcher.processes)
    trials = [(kind.longest.overrides, config) for kind, (_, config) in zip(kinds, samples, strict=True)]
    costs = try_out(trials, slots, launcher.composed)
    priced: dict[int, tuple[Cost, float]] = {}
    for kind, cost in zip(kinds, costs, strict=True):
        if isinstance(cost, Cost):
            priced |= {job.number: (cost, epochs) for job, epochs in zip(kind.jobs, kind.epochs, strict=True)}
    all_jobs = list(islice(cycle(priced[job.number] for job in jobs if job.number in priced), count or len(priced)))
    lines = job_lines(jobs, priced, axes) + kind_lines(kinds, networks, costs, axes)
    return "\n".join(
        [*lines, total_line(estimate(all_jobs, launcher.slots, keep), len(all_jobs), launcher.slots, start)]
    )
