"""A plan as a person reads it."""

from collections.abc import Mapping, Sequence
from statistics import mean

from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.estimate import Estimate
from trainyard.sweeps.plan.kinds import Kind
from trainyard.sweeps.plan.networks import Network
from trainyard.terminal.aligned import aligned
from trainyard.terminal.durations import duration

ALL, FIRST, LAST = 40, 20, 5  # jobs that are shown: all of so many, else the first and the last
MIB = 2**20
COLUMNS = ("", "jobs", "parameters", "network", "s/job", "s/epoch", "memory MiB", "disk MiB", "GPU MiB")


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


def kind_lines(kinds: Sequence[Kind], axes: Sequence[str]) -> list[str]:
    """Return a table of the kinds of jobs, and why the trial of one failed."""
    rows, failed = [list(COLUMNS)], []
    for kind in kinds:
        row = [kind.common(axes), str(len(kind.jobs)), *(shown(kind.network) if kind.network else ("", ""))]
        if isinstance(kind.cost, Cost):
            rows.append([*row, *numbers(kind.cost, kind.epochs)])
        else:
            rows.append(row + ["?"] * (len(COLUMNS) - len(row)))
            failed.append(f"{kind.common(axes)}: its trial failed, and the total is without it\n  {kind.cost}")
    if not any(isinstance(kind.cost, Cost) and kind.cost.gpu for kind in kinds):
        rows = [row[:-1] for row in rows]
    return [*aligned(rows), *failed]


def shown(network: Network) -> list[str]:
    """Return the parameters of a network, and its shapes."""
    how = " (built with memory)" if network.real else ""
    return [f"{network.parameters:,}", f"{by(network.inputs)} -> {by(network.outputs)}{how}"]


def numbers(cost: Cost, epochs: Sequence[float]) -> list[str]:
    """Return the times and sizes of a job of so many epochs, in the mean of several."""
    disk = mean(map(cost.disk, epochs)) + cost.weights
    sizes = [f"{size / MIB:.1f}" for size in (cost.memory, disk, cost.gpu)]
    return [f"{mean(map(cost.seconds, epochs)):.1f}", f"{cost.epoch:.3f}", *sizes]


def total_line(total: Estimate, jobs: int, slots: int, start: float, bound: bool) -> str:
    """Return what all jobs take."""
    gpu = f", {total.gpu / MIB:.0f} MiB on GPUs" if total.gpu else ""
    time = f"{'at most' if bound else 'about'} {duration(start + total.seconds)}"
    sizes = f"{total.memory / MIB:.0f} MiB of memory{gpu}, {total.disk / MIB:.1f} MiB of disk"
    return f"total      {jobs} jobs, {slots} at a time: {time}, {sizes}"


def by(shape: Sequence[int]) -> str:
    """Return a shape as it is written in the log of a run."""
    return "x".join(map(str, shape))
