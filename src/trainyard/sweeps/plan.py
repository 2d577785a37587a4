"""`sweep.plan=true`: the jobs of a sweep, their networks, and an estimate of the time and disk space they take."""

import heapq
import math
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf

from trainyard.errors import reject
from trainyard.run_directory import DONE
from trainyard.run_length import LENGTH, epoch_limit, has_known_length
from trainyard.sweeps.cost import Cost
from trainyard.sweeps.execution.checks import plain, refuse
from trainyard.sweeps.execution.job_process import die_with_parent
from trainyard.sweeps.execution.processes import Slots
from trainyard.sweeps.execution.task import Task
from trainyard.sweeps.job import Job
from trainyard.sweeps.search.probes import probes
from trainyard.sweeps.search_space import REPLICATES
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.aligned import aligned
from trainyard.terminal.durations import duration

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launcher import LocalLauncher

MEASURE = "+callbacks.measure_cost._target_=trainyard.sweeps.cost.MeasureCost"
LOCAL_LOGGERS = ("TensorBoardLogger", "CSVLogger", "EventFiles", "MetricsTable")  # the others report to a server
FREE = ("hydra", "run", "sweep", "objective")  # groups that do not change the cost of an epoch
RATES = ("optimizer", "scheduler", "model", "augment", "callbacks", "ema_decay")  # fractions in them matter only if 0
COLUMNS = ("", "jobs", "parameters", "input -> output", "s/job", "s/epoch", "MiB/job")
SHOWN = 40  # jobs; of more, the first and last
MIB = 2**20


@dataclass
class Kind:
    """Jobs whose epochs cost the same.

    Attributes:
        jobs: all of them.
        epochs: of each, at most.
        at_most: whether they may take less time: they may stop early, or train fewer layers at first.
        network: number of parameters and shapes, as text.
        cost: of one; or the error of its shortened run.
    """

    jobs: list[Job] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    at_most: bool = False
    network: tuple[str, str] = ("", "")
    cost: Cost | str = ""

    @property
    def longest(self) -> Job:
        """The job of the most epochs."""
        return self.jobs[self.epochs.index(max(self.epochs))]

    def common(self, axes: Sequence[str]) -> str:
        """Return the values of the axes that all of its jobs share."""
        first, *others = (job.overrides for job in self.jobs)
        shared = [override for override in first if all(override in other for other in others)]
        return " ".join(override for override in shared if override.partition("=")[0] in axes) or "all"


def plan_sweep(
    sweep: StoredSweep, launcher: "LocalLauncher", trials: int | None, keep: int | None, pruned: bool
) -> None:
    """Print the jobs of a sweep that are left, and the time and disk space they take. Nothing is written.

    Args:
        sweep: to plan.
        launcher: that would run it.
        trials: number of configurations of a search; `None` for a grid.
        keep: number of jobs whose checkpoints are kept; `None` for all.
        pruned: whether a pruner may end jobs early.

    Raises:
        ConfigError: jobs that cannot work, or whose length is not known in advance.
    """
    jobs, axes = [job for job in sweep.jobs if job.status not in DONE], list(sweep.space.axes)
    total = sweep.jobs_of(trials)
    count = total - len(sweep.jobs) + len(jobs)
    if count > len(jobs):  # the jobs that a search will draw are represented by each value of each axis
        jobs += [Job(total + place, words, sweep.folder) for place, words in enumerate(probes(sweep.space))]
    print(f"plan       {sweep.folder}: {total} jobs, {count} to do", flush=True)
    if not count:
        return
    try:
        began = time.perf_counter() - time.process_time()
        refuse(launcher.impossible([job.overrides for job in jobs]), jobs, axes)
        start = time.perf_counter() - began
        kinds = kinds_of(jobs, (launcher.compose(job.overrides) for job in jobs))
        print(f"measuring  {len(kinds)} of {len(jobs)} jobs, shortened", flush=True)
        measure(kinds, launcher)
    except KeyboardInterrupt:
        print("interrupted; nothing was written")
        sys.exit(130)
    known = {job.number: pair for kind in kinds for job, pair in estimates(kind)}
    print("\n".join([*job_lines(jobs, known, axes), "", *kind_lines(kinds, axes), ""]))
    everything = list(islice(cycle(known.values()), count if len(known) == len(jobs) else len(known)))
    at_most = pruned or any(kind.at_most for kind in kinds)
    print(total_line(everything, launcher.slots, keep, start, "at most" if at_most else "about"))


def kinds_of(jobs: Sequence[Job], configs: Iterable[DictConfig]) -> list[Kind]:
    """Return the kinds of jobs, in the order of their first.

    Raises:
        ConfigError: neither epochs nor steps limit a job.
    """
    kinds: dict[str, Kind] = {}
    for job, config in zip(jobs, configs, strict=True):
        if not has_known_length(config):
            raise reject("sweep.plan", True, "the number of epochs is not known in advance", f"with {LENGTH}")
        kind = kinds.setdefault(cost_key(config), Kind())
        kind.jobs.append(job)
        kind.epochs.append(epoch_limit(config) if epoch_limit(config) > 0 else math.inf)
        targets = [str(part.get("_target_")) for part in (config.get("callbacks") or {}).values() if part is not None]
        kind.at_most |= any(config.finetune.thaw) or any(target.endswith("EarlyStopping") for target in targets)
    return list(kinds.values())


def cost_key(config: DictConfig) -> str:
    """Return the part of a config that determines the cost of an epoch."""
    groups: Any = OmegaConf.to_container(config, resolve=False)
    for name in FREE:
        groups.pop(name, None)
    groups["trainer"].pop("max_epochs", None)
    for key in REPLICATES:
        group, _, name = key.rpartition(".")
        (groups[group] if group else groups).pop(name, None)
    return repr({name: without_fractions(group) if name in RATES else group for name, group in groups.items()})


def without_fractions(node: Any) -> Any:
    """Return a part of a config in which each float only says whether it is 0."""
    if isinstance(node, dict):
        return {name: without_fractions(value) for name, value in node.items()}
    if isinstance(node, list):
        return [without_fractions(value) for value in node]
    return bool(node) if isinstance(node, float) else node


def measure(kinds: Sequence[Kind], launcher: "LocalLauncher") -> None:
    """Find the network of each kind, and its cost by a shortened run of its longest job.

    As many shortened runs as there are slots run at a time, as the jobs will.
    """
    configs = [config for _, config in launcher.composed([kind.longest.overrides for kind in kinds], 0)]
    with ProcessPoolExecutor(1, mp_context=launcher.processes, initializer=die_with_parent) as process:
        networks = list(process.map(network_of_job, configs))
    with TemporaryDirectory(prefix="trainyard-plan-") as place:
        words = [
            [*shortened(kind.longest.overrides, config), f"hydra.sweep.dir={place}", f"hydra.sweep.subdir={number}"]
            for number, (kind, config) in enumerate(zip(kinds, configs, strict=True))
        ]
        began: dict[int, float] = {}
        slots = Slots(launcher.slots, launcher.task, launcher.processes)
        slots.begin = lambda number: began.update({number: time.perf_counter()})
        for ended in slots.run([Task([number], [config]) for number, config in launcher.composed(words, 0)]):
            kind, seconds = kinds[ended.number], time.perf_counter() - began[ended.number]
            kind.network = networks[ended.number]
            try:
                kind.cost = ended.error or Cost.read(Path(place) / str(ended.number), seconds)
            except FileNotFoundError:
                kind.cost = "its process ended before the run did"


def shortened(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a shortened run: it is measured, reports to no server, and trains all layers at once."""
    loggers = {name: str(part.get("_target_")) for name, part in (config.get("logger") or {}).items() if part}
    remote = [name for name, target in loggers.items() if target.rpartition(".")[2] not in LOCAL_LOGGERS]
    late = [f"finetune.thaw=[{','.join('0' for _ in thaw)}]"] if any(thaw := config.finetune.thaw) else []
    return [*overrides, MEASURE, *late, *(f"logger.{name}=null" for name in remote)]


def network_of_job(config: DictConfig) -> tuple[str, str]:
    """Return the number of parameters of a job's network and its shapes, in a process of its own."""
    setup_globals()
    cfg = plain(config)
    return network(OmegaConf.to_yaml(cfg.data), OmegaConf.to_yaml(cfg.model))


@cache
def network(data: str, model: str) -> tuple[str, str]:
    """Return the number of parameters and the shapes of a network, built on the meta device and without a download."""
    import torch

    from trainyard.config import instantiate

    groups = OmegaConf.create({"data": OmegaConf.create(data), "model": OmegaConf.create(model)})
    if groups.model.get("weights") == "pretrained":
        groups.model.weights = "none"
    spec = instantiate(groups.data, order_seed=0).spec
    try:
        with torch.device("meta"):
            built = instantiate(groups.model, spec=spec).eval()
            output = built(built.example_input_array)
    except Exception:  # such as a network that reads a number from a tensor, which the meta device does not have
        built = instantiate(groups.model, spec=spec).eval()
        output = built(built.example_input_array)
    shapes = ("x".join(map(str, shape)) for shape in (spec.input_shape, output.shape[1:]))
    return f"{sum(parameter.numel() for parameter in built.parameters()):,}", " -> ".join(shapes)


def estimates(kind: Kind) -> list[tuple[Job, tuple[Cost, float]]]:
    """Return the cost and the epochs of each job; none where the shortened run failed."""
    cost = kind.cost
    if isinstance(cost, str):
        return []
    return [(job, (cost, epochs)) for job, epochs in zip(kind.jobs, kind.epochs, strict=True)]


def job_lines(jobs: Sequence[Job], known: dict[int, tuple[Cost, float]], axes: Sequence[str]) -> list[str]:
    """Return a line per job: its number, the values that vary, its seconds."""
    half = SHOWN // 2
    shown = jobs if len(jobs) <= SHOWN else [*jobs[:half], *jobs[-half:]]
    times = {number: f"{cost.time(epochs):.1f} s" for number, (cost, epochs) in known.items()}
    lines = aligned([[f"#{job.number}", job.varying(axes), times.get(job.number, "?")] for job in shown])
    return lines if len(jobs) <= SHOWN else [*lines[:half], f"... {len(jobs) - SHOWN} more", *lines[half:]]


def kind_lines(kinds: Sequence[Kind], axes: Sequence[str]) -> list[str]:
    """Return a table of the kinds of jobs, and the errors of their shortened runs."""
    rows, errors = [list(COLUMNS)], []
    for kind in kinds:
        numbers = ["?"] * 3
        if isinstance(cost := kind.cost, Cost):
            size = mean(map(cost.disk, kind.epochs)) + cost.checkpoints
            numbers = [f"{mean(map(cost.time, kind.epochs)):.1f}", f"{cost.epoch:.3f}", f"{size / MIB:.1f}"]
        else:
            errors.append(f"{kind.common(axes)}: its shortened run failed, and the total is without it\n  {cost}")
        rows.append([kind.common(axes), str(len(kind.jobs)), *kind.network, *numbers])
    return [*aligned(rows), *errors]


def total_line(jobs: Sequence[tuple[Cost, float]], slots: int, keep: int | None, start: float, certainty: str) -> str:
    """Return the time of all jobs, each of which starts in the first slot that is free, and their disk space."""
    free = [0.0] * slots
    for cost, epochs in jobs:
        heapq.heapreplace(free, free[0] + cost.time(epochs))
    kept = heapq.nlargest(len(jobs) if keep is None else keep, (cost.checkpoints for cost, _ in jobs))
    disk = sum(cost.disk(epochs) for cost, epochs in jobs) + sum(kept)
    took = f"{certainty} {duration(start + max(free))}, {disk / MIB:.1f} MiB of disk"
    return f"total      {len(jobs)} jobs, {slots} at a time: {took}"
