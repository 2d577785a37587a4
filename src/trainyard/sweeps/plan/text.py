"""A plan as a person reads it."""

from collections.abc import Mapping, Sequence
from statistics import mean

from trainyard.sweeps.answer.report import aligned
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import Estimate
from trainyard.sweeps.plan.kinds import Kind
from trainyard.sweeps.plan.networks import Network
from trainyard.sweeps.watch import duration

ALL, FIRST, LAST = 40, 20, 5  # jobs that are shown: all of so many, else the first and the last
MIB = 2**20


def job_lines(jobs: Sequence[Job], priced: Mapping[int, tuple[Cost, float]], axes: Sequence[str]) -> list[str]:
    """Return a line for each job, with its number, what varies, and its seconds."""
    rows = []
    for job in jobs if len(jobs) <= ALL else [*jobs[:FIRST], *jobs[-LAST:]]:
        cost, epochs = priced.get(job.number, (None, 0))
        rows.append([f"#{job.number}", job.varying(axes), f"{cost.seconds(epochs):.1f} s" if cost else "?"])
    lines = aligned(rows)
    if len(jobs) > ALL:
        lines.insert(FIRST, f"... {len(jobs) - FIRST - LAST} more")
    return lines


def kind_lines(
    kinds: Sequence[Kind], networks: Sequence[Network], costs: Sequence[Cost | str], axes: Sequence[str]
) -> list[str]:
    """Return a table of what was tried; below it, why a trial failed."""
    rows = [["", "jobs", "parameters", "network", "start s", "epoch s", "job s", "memory MiB", "GPU MiB", "disk MiB"]]
    failed = []
    for kind, network, cost in zip(kinds, networks, costs, strict=True):
        shapes = f"{by(network.inputs)} -> {by(network.outputs)}"
        row = [kind.common(axes), str(len(kind.jobs)), f"{network.parameters:,}", shapes]
        if isinstance(cost, str):
            failed.append(f"{kind.common(axes)}: its trial failed, and the total is without it\n  {cost}")
            rows.append(row + ["?"] * (len(rows[0]) - len(row)))
            continue
        seconds, disk = mean(map(cost.seconds, kind.epochs)), mean(map(cost.disk, kind.epochs)) + cost.weights
        times = [f"{cost.fixed:.2f}", f"{cost.epoch:.3f}", f"{seconds:.1f}"]
        rows.append([*row, *times, *(f"{size / MIB:.1f}" for size in (cost.memory, cost.gpu, disk))])
    if not any(isinstance(cost, Cost) and cost.gpu for cost in costs):
        rows = [[*row[:-2], row[-1]] for row in rows]
    return ["", *aligned(rows), *failed, ""]


def total_line(total: Estimate, jobs: int, slots: int, start: float) -> str:
    """Return what all jobs take."""
    gpu = f", {total.gpu / MIB:.0f} MiB on the GPU" if total.gpu else ""
    return (
        f"total      {jobs} jobs, {slots} at a time: about {duration(start + total.seconds)}, "
        f"{total.memory / MIB:.0f} MiB of memory{gpu}, {total.disk / MIB:.1f} MiB of disk"
    )


def by(shape: Sequence[int]) -> str:
    """Return a shape as it is written in the log of a run."""
    return "x".join(map(str, shape))
