"""What a sweep will take: its jobs, their networks, and the time, the memory and the disk of all."""

import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

from trainyard.memory import pages
from trainyard.sweeps.execution.checks import refuse
from trainyard.sweeps.execution.processes import Slots
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import estimate
from trainyard.sweeps.plan.kinds import Kind, kinds_of
from trainyard.sweeps.plan.networks import networks_of
from trainyard.sweeps.plan.sample import sample
from trainyard.sweeps.plan.text import job_lines, kind_lines, total_line
from trainyard.sweeps.plan.trials import try_out
from trainyard.sweeps.stored import StoredSweep

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launcher import LocalLauncher


def plan_sweep(
    sweep: StoredSweep, launcher: "LocalLauncher", trials: int | None, keep: int | None, pruned: bool
) -> None:
    """Print what the jobs of a sweep are that are left, and what they will take.

    Args:
        sweep: as its directory tells of it.
        launcher: that will run them.
        trials: of a search, in total.
        keep: number of the jobs whose checkpoints stay; `None` for all.
        pruned: whether some will end early.
    """
    jobs, count, total = sample(sweep, trials)
    less = ", and those that are pruned take less than is said here" if pruned else ""
    print(f"plan       {sweep.folder}: {total} jobs, {count} to do{less}", flush=True)
    if count:
        print(plan(jobs, list(sweep.space.axes), launcher, count, keep))


def plan(
    jobs: Sequence[Job],
    axes: Sequence[str],
    launcher: "LocalLauncher",
    count: int,
    keep: int | None = None,
) -> str:
    """Return what jobs will take, as a person reads it, by trials of each kind of them.

    Args:
        jobs: that are left to do, or a sample of them.
        axes: keys that vary.
        launcher: that will run them.
        count: of the jobs that they stand for.
        keep: number of the jobs whose checkpoints stay; `None` for all.

    Raises:
        ConfigError: jobs that cannot work; all are named.
    """
    began = time.perf_counter() - time.process_time()  # the command has had little to wait for so far
    refuse(launcher.impossible([job.overrides for job in jobs]), jobs, axes)
    start = time.perf_counter() - began
    kinds = kinds_of(jobs, (launcher.compose(job.overrides) for job in jobs))
    print(f"trials     of {len(kinds)} of the {len(jobs)} jobs, which stand for the others", flush=True)
    try_kinds(kinds, launcher)
    costs = {
        job.number: (kind.cost, epochs)
        for kind in kinds
        for job, epochs in zip(kind.jobs, kind.epochs, strict=True)
        if isinstance(kind.cost, Cost)
    }
    known = [costs[job.number] for job in jobs if job.number in costs]
    everything = known if count == len(jobs) else list(islice(cycle(known), count))
    total = estimate(everything, launcher.slots, keep, pages().get("Pss", 0))
    last = total_line(total, len(everything), launcher.slots, start, any(kind.bound for kind in kinds))
    return "\n".join([*job_lines(jobs, costs, axes), "", *kind_lines(kinds, axes), "", last])


def try_kinds(kinds: Sequence[Kind], launcher: "LocalLauncher") -> None:
    """Look at the network of each kind of jobs, and try one of them."""
    overrides = [kind.longest.overrides for kind in kinds]
    configs = [config for _, config in launcher.composed(overrides, 0)]
    for kind, network in zip(kinds, networks_of(configs, launcher.processes), strict=True):
        kind.network = network
    slots = Slots(launcher.slots, launcher.task, launcher.processes)
    trials = list(zip(overrides, configs, strict=True))
    for kind, cost in zip(kinds, try_out(trials, slots, launcher.composed), strict=True):
        kind.cost = cost
