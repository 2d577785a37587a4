"""`sweep.plan=true`: the jobs of a sweep, their networks, and an estimate of the time and disk space they take."""

import heapq
import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from trainyard.errors import reject
from trainyard.run_directory import DONE
from trainyard.run_length import LENGTH, epoch_limit, has_known_length
from trainyard.sweeps.cost import Cost
from trainyard.sweeps.distributions import representative_jobs
from trainyard.sweeps.execution.checks import raise_problems
from trainyard.sweeps.execution.job_process import JobGroup
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import REPLICATES
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.durations import duration
from trainyard.terminal.tables import table

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

MEASURE = "+callbacks.measure_cost._target_=trainyard.sweeps.cost.MeasureCost"
LOCAL_LOGGERS = ("TensorBoardLogger", "CSVLogger", "EventFiles", "MetricsTable")  # the others send data to a server
FREE = ("objective", "trainer.max_epochs", *REPLICATES)  # keys that do not change the cost of an epoch
RATES = ("optimizer", "scheduler", "model", "augment", "callbacks", "ema_decay")  # fractions in them matter only if 0
FRACTION = re.compile(r"\d*\.\d+(e-?\d+)?|\d+e-?\d+")
MAX_JOBS = 40  # in the list; of more, the first and last
MIB = 2**20


@dataclass
class JobKind:
    """Jobs whose epochs cost the same.

    Attributes:
        epochs: maximum of each job.
        cost: of one; or the error of its shortened run.
    """

    jobs: list[Job] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    cost: Cost | str = ""

    @property
    def longest(self) -> Job:
        """The job with the most epochs."""
        return self.jobs[self.epochs.index(max(self.epochs))]

    def common_values(self, axes: Sequence[str]) -> str:
        """Return the values of the axes that all jobs share."""
        shared = set.intersection(*(set(job.overrides) for job in self.jobs))
        words = [word for word in self.jobs[0].overrides if word in shared and word.partition("=")[0] in axes]
        return " ".join(words) or "all"


def plan_sweep(
    sweep: StoredSweep, launcher: "LocalLauncher", trials: int | None, keep: int | None, pruned: bool
) -> None:
    """Print the unfinished jobs of a sweep, and the time and disk space they take. Nothing is written.

    Args:
        trials: number of configurations of a search; `None` for a grid.
        keep: number of jobs whose checkpoints are kept; `None` for all.
        pruned: whether a pruner may end jobs early.

    Raises:
        ConfigError: jobs that cannot work, or whose length is not known in advance.
    """
    start = time.perf_counter()
    jobs, axes = [job for job in sweep.jobs if job.status not in DONE], list(sweep.space.axes)
    total = sweep.total_jobs(trials)
    count = total - len(sweep.jobs) + len(jobs)
    if count > len(jobs):  # a search has still to draw jobs
        jobs += [Job(total + n, words, sweep.folder) for n, words in enumerate(representative_jobs(sweep.space))]
    print(f"plan       {sweep.folder}: {total} jobs, {count} to do", flush=True)
    if not count:
        return
    raise_problems(launcher.find_problems([job.overrides for job in jobs]), jobs, axes)
    startup = time.perf_counter() - start
    kinds = group_by_cost(jobs, (launcher.compose(job.overrides) for job in jobs))
    print(f"measuring  {len(kinds)} of {len(jobs)} jobs, shortened", flush=True)
    measure(kinds, launcher)
    costs = {
        job.number: (kind.cost, epochs)
        for kind in kinds
        for job, epochs in zip(kind.jobs, kind.epochs, strict=True)
        if isinstance(kind.cost, Cost)
    }
    print(f"{job_table(jobs, costs, axes)}\n\n{kind_table(kinds, axes)}\n")
    counted = list(islice(cycle(costs.values()), count if len(costs) == len(jobs) else len(costs)))
    print(total_line(counted, launcher.slots, keep, startup, "at most" if pruned else "about"))


def group_by_cost(jobs: Sequence[Job], configs: Iterable[DictConfig]) -> list[JobKind]:
    """Return the kinds of jobs, in the order of their first.

    Raises:
        ConfigError: neither epochs nor steps limit a job.
    """
    kinds: dict[tuple[str, ...], JobKind] = {}
    for job, config in zip(jobs, configs, strict=True):
        if not has_known_length(config):
            raise reject("sweep.plan", True, "the number of epochs is not known in advance", f"with {LENGTH}")
        kind = kinds.setdefault(cost_key(job.overrides), JobKind())
        kind.jobs.append(job)
        kind.epochs.append(epoch_limit(config) if epoch_limit(config) > 0 else math.inf)
    return list(kinds.values())


def cost_key(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that determine the cost of an epoch."""
    words = []
    for word in overrides:
        key, _, value = word.lstrip("+").partition("=")
        if key.partition(".")[0] in RATES and FRACTION.fullmatch(value):
            words.append(f"{key}={float(value) > 0}")
        elif key not in FREE:
            words.append(word)
    return tuple(words)


def measure(kinds: Sequence[JobKind], launcher: "LocalLauncher") -> None:
    """Measure the cost of each kind in a shortened run of its longest job; as many run at a time as there are slots."""
    with TemporaryDirectory(prefix="trainyard-plan-") as place:
        overrides = [
            [
                *shortened(kind.longest.overrides, launcher.compose(kind.longest.overrides)),
                f"hydra.sweep.dir={place}",
                f"hydra.sweep.subdir={number}",
            ]
            for number, kind in enumerate(kinds)
        ]
        started: dict[int, float] = {}
        pool = launcher.pool()
        pool.on_start = lambda index: started.update({index: time.perf_counter()})
        for end in pool.run(JobGroup([index], [config]) for index, config in launcher.composed(overrides, 0)):
            kind, seconds = kinds[end.index], time.perf_counter() - started[end.index]
            try:
                kind.cost = end.error or Cost.read(Path(place) / str(end.index), seconds)
            except FileNotFoundError:
                kind.cost = "its process ended before the run did"


def shortened(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a shortened run: it is measured, uses no server, and trains all layers from the start."""
    loggers = {name: str(part.get("_target_")) for name, part in (config.get("logger") or {}).items() if part}
    remote = [name for name, target in loggers.items() if target.rpartition(".")[2] not in LOCAL_LOGGERS]
    thaw = config.finetune.thaw
    unfrozen = [f"finetune.thaw=[{','.join('0' for _ in thaw)}]"] if any(thaw) else []
    return [*overrides, MEASURE, *unfrozen, *(f"logger.{name}=null" for name in remote)]


def job_table(jobs: Sequence[Job], costs: dict[int, tuple[Cost, float]], axes: Sequence[str]) -> str:
    """Return a row for each job with the values that vary and its seconds."""
    times = {number: f"{cost.time(epochs):.1f} s" for number, (cost, epochs) in costs.items()}
    rows = [[f"#{job.number}", job.axis_values(axes), times.get(job.number, "?")] for job in jobs]
    half = MAX_JOBS // 2
    if len(rows) > MAX_JOBS:
        rows[half:-half] = [["...", f"{len(rows) - MAX_JOBS} more", ""]]
    return table(["", "", ""], rows)


def kind_table(kinds: Sequence[JobKind], axes: Sequence[str]) -> str:
    """Return a row for each kind of jobs, and the errors of their shortened runs."""
    rows, errors = [], []
    for kind in kinds:
        cells = ["?"] * 5
        if isinstance(cost := kind.cost, Cost):
            size = mean(map(cost.disk, kind.epochs)) + cost.checkpoints
            seconds = mean(map(cost.time, kind.epochs))
            cells = [*cost.network, f"{seconds:.1f}", f"{cost.epoch:.3f}", f"{size / MIB:.1f}"]
        else:
            errors.append(
                f"{kind.common_values(axes)}: its shortened run failed, and the total is without it\n  {cost}"
            )
        rows.append([kind.common_values(axes), len(kind.jobs), *cells])
    columns = ["", "jobs", "parameters", "input -> output", "s/job", "s/epoch", "MiB/job"]
    return "\n".join([table(columns, rows), *errors])


def total_line(jobs: Sequence[tuple[Cost, float]], slots: int, keep: int | None, startup: float, prefix: str) -> str:
    """Return the time of all jobs, each started in the first free slot, and their disk space."""
    free = [0.0] * slots
    for cost, epochs in jobs:
        heapq.heapreplace(free, free[0] + cost.time(epochs))
    kept = heapq.nlargest(len(jobs) if keep is None else keep, (cost.checkpoints for cost, _ in jobs))
    disk = sum(cost.disk(epochs) for cost, epochs in jobs) + sum(kept)
    estimate = f"{prefix} {duration(startup + max(free))}, {disk / MIB:.1f} MiB of disk"
    return f"total      {len(jobs)} jobs, {slots} at a time: {estimate}"
