"""`sweep.plan=true`: the jobs of a sweep, their networks, and an estimate of the time and disk space they take."""

import heapq
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from trainyard.callbacks.run_length import LENGTH, epoch_limit, has_known_length
from trainyard.io.errors import config_error
from trainyard.run.run_directory import DONE
from trainyard.sweeps.cost import Cost
from trainyard.sweeps.distributions import representative_jobs
from trainyard.sweeps.execution.checks import raise_problems
from trainyard.sweeps.execution.job_process import JobGroup
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import REPLICATES
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.formats import format_duration
from trainyard.terminal.tables import table

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

MEASURE = "+callbacks.measure_cost._target_=trainyard.sweeps.cost.MeasureCost"
LOCAL_LOGGERS = ("TensorBoardLogger", "CSVLogger", "MetricsTable")  # the others send data to a server
FREE = ("objective", "trainer.max_epochs", *REPLICATES)  # keys that do not change the cost of an epoch
RATES = ("optimizer", "scheduler", "model", "augment", "callbacks", "ema_decay")  # fractions in them matter only if 0
FRACTION = re.compile(r"\d*\.\d+(e-?\d+)?|\d+e-?\d+")
MAX_JOBS = 40  # in the list; of more, the first and last
MIB = 2**20
Group = list[tuple[Job, float]]  # jobs with their numbers of epochs


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
    groups = group_by_cost(jobs, (launcher.compose(job.overrides) for job in jobs))
    print(f"measuring  {len(groups)} of {len(jobs)} jobs, shortened", flush=True)
    estimates: dict[int, tuple[Cost, float]] = {}
    errors = []
    for group, cost in zip(groups, measure(groups, launcher), strict=True):
        if isinstance(cost, Cost):
            estimates |= {job.number: (cost, epochs) for job, epochs in group}
        else:
            first, _ = group[0]
            errors.append(f"{first.axis_values(axes)}: its shortened run failed; the total is without it\n  {cost}")
    print(job_table(jobs, estimates, axes), *errors, "", sep="\n")
    counted = list(islice(cycle(estimates.values()), count if len(estimates) == len(jobs) else len(estimates)))
    print(total_line(counted, launcher.slots, keep, startup, "at most" if pruned else "about"))


def group_by_cost(jobs: Sequence[Job], configs: Iterable[DictConfig]) -> list[Group]:
    """Return groups of jobs whose epochs cost the same, each with its number of epochs, the longest first.

    Raises:
        ConfigError: neither epochs nor steps limit a job.
    """
    groups: dict[tuple[str, ...], Group] = {}
    for job, config in zip(jobs, configs, strict=True):
        if not has_known_length(config):
            raise config_error("sweep.plan", True, "the number of epochs is not known in advance", f"with {LENGTH}")
        epochs = epoch_limit(config) if epoch_limit(config) > 0 else math.inf
        groups.setdefault(cost_key(job.overrides), []).append((job, epochs))
    return [sorted(group, key=lambda pair: -pair[1]) for group in groups.values()]


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


def measure(groups: Sequence[Group], launcher: "LocalLauncher") -> list[Cost | str]:
    """Return the cost of each group, or the error, from a shortened run of its longest job.

    As many shortened runs as there are slots run at a time, as the jobs will.
    """
    costs: dict[int, Cost | str] = {}
    started: dict[int, float] = {}
    with TemporaryDirectory(prefix="trainyard-plan-") as place:
        overrides = []
        for index, ((job, _), *_) in enumerate(groups):
            words = shortened(job.overrides, launcher.compose(job.overrides))
            overrides.append([*words, f"hydra.sweep.dir={place}", f"hydra.sweep.subdir={index}"])
        pool = launcher.pool()
        pool.on_start = lambda index: started.update({index: time.perf_counter()})
        for end in pool.run(JobGroup([index], [config]) for index, config in launcher.composed(overrides, 0)):
            seconds = time.perf_counter() - started[end.index]
            try:
                costs[end.index] = end.error or Cost.read(Path(place) / str(end.index), seconds)
            except FileNotFoundError:
                costs[end.index] = "its process ended before the run did"
    return [costs[index] for index in range(len(groups))]


def shortened(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a shortened run: it is measured, uses no server, and trains all layers from the start."""
    loggers = {name: str(part.get("_target_")) for name, part in (config.get("logger") or {}).items() if part}
    remote = [name for name, target in loggers.items() if not target.endswith(LOCAL_LOGGERS)]
    thaw = config.finetune.thaw
    unfrozen = [f"finetune.thaw=[{','.join('0' for _ in thaw)}]"] if any(thaw) else []
    return [*overrides, MEASURE, *unfrozen, *(f"logger.{name}=null" for name in remote)]


def job_table(jobs: Sequence[Job], estimates: Mapping[int, tuple[Cost, float]], axes: Sequence[str]) -> str:
    """Return a row for each job: the values that vary, its network, time and disk space."""
    rows = []
    for job in jobs:
        cells = ["?"] * 5
        if job.number in estimates:
            cost, epochs = estimates[job.number]
            size = (cost.disk(epochs) + cost.checkpoints) / MIB
            cells = [*cost.network, f"{cost.epoch:.3f}", f"{cost.time(epochs):.1f}", f"{size:.1f}"]
        rows.append([f"#{job.number}", job.axis_values(axes), *cells])
    half = MAX_JOBS // 2
    if len(rows) > MAX_JOBS:
        rows[half:-half] = [["...", f"{len(rows) - MAX_JOBS} more", *[""] * 5]]
    columns = ["job", "", "parameters", "input -> output", "s/epoch", "s/job", "MiB/job"]
    return table(columns, rows, right=[columns[2], *columns[4:]])


def total_line(jobs: Sequence[tuple[Cost, float]], slots: int, keep: int | None, startup: float, prefix: str) -> str:
    """Return the time of all jobs, each started in the first free slot, and their disk space."""
    free = [0.0] * slots
    for cost, epochs in jobs:
        heapq.heapreplace(free, free[0] + cost.time(epochs))
    kept = heapq.nlargest(len(jobs) if keep is None else keep, (cost.checkpoints for cost, _ in jobs))
    disk = sum(cost.disk(epochs) for cost, epochs in jobs) + sum(kept)
    estimate = f"{prefix} {format_duration(startup + max(free))}, {disk / MIB:.1f} MiB of disk"
    return f"total      {len(jobs)} jobs, {slots} at a time: {estimate}"
