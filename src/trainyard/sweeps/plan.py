"""`sweep.plan=true`: the jobs of a sweep, their networks, and an estimate of the time and disk space they take."""

import heapq
import json
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from omegaconf import DictConfig

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.io.errors import config_error
from trainyard.io.files import write_json
from trainyard.run.run_directory import DONE
from trainyard.run.run_length import LENGTH, epoch_limit, has_known_length
from trainyard.sweeps.distributions import representative_jobs
from trainyard.sweeps.execution.checks import check_jobs
from trainyard.sweeps.job import Job
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.formats import format_duration
from trainyard.terminal.tables import table

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

MEASURE = "+callbacks.measure_cost._target_=trainyard.sweeps.plan.MeasureCost"
COST_FILE = "cost.json"
EPOCHS, STEPS = 2, 32  # of a shortened run, at most; validation and test are not shortened
MAX_SECONDS = 4.0  # of training in a shortened run
LOCAL_LOGGERS = ("TensorBoardLogger", "CSVLogger", "MetricsTable")  # the others send data to a server
FRACTION = r"(\d*\.\d+(e-?\d+)?|\d+e-?\d+)"
FREE = re.compile(  # overrides that do not change the cost of an epoch
    r"\+*((objective|objective_mode|trainer\.max_epochs|seed|data\.seed|data\.fold)=.*"
    rf"|(optimizer|scheduler|model|augment|callbacks)\.[\w.]+={FRACTION}|ema_decay={FRACTION})"
)
MAX_ROWS = 40  # in the table; of more jobs, the first and last
MIB = 2**20
Group = list[tuple[Job, float]]  # jobs with their numbers of epochs


@dataclass
class Cost:
    """Time in seconds and disk space in bytes of a job."""

    network: tuple[str, str]  # number of parameters and shapes, as text
    startup: float  # outside of the epochs, with the test
    epoch: float
    max_epochs: float  # limit by `max_steps`
    files: float  # after the first epoch, without checkpoints
    growth: float  # in each further epoch
    checkpoints: float

    def time(self, epochs: float) -> float:
        """Return the seconds of a job of so many epochs."""
        return self.startup + min(epochs, self.max_epochs) * self.epoch

    def disk(self, epochs: float) -> float:
        """Return the bytes that a job of so many epochs writes, without its checkpoints."""
        return self.files + (min(epochs, self.max_epochs) - 1) * self.growth

    @classmethod
    def read(cls, folder: Path, seconds: float) -> "Cost":
        """Return the cost that `MeasureCost` has written into the directory of a run, whose process took `seconds`."""
        content = json.loads((folder / COST_FILE).read_text(encoding="utf-8"))
        startup = max(0.0, seconds - content.pop("training"))
        return cls(startup=startup, checkpoints=bytes_on_disk(folder / "checkpoints"), **content)


def plan_sweep(
    sweep: StoredSweep, launcher: "LocalLauncher", trials: int | None, keep: int | None, pruned: bool
) -> None:
    """Print the unfinished jobs of a sweep, and the time and disk space they take. Nothing is written.

    Args:
        trials: number of configurations of a search; `None` for a grid.
        keep: number of jobs whose checkpoints are kept; `None` for all.
        pruned: whether a pruner may end jobs early.
    """
    start = time.perf_counter()
    jobs, axes = [job for job in sweep.jobs if job.status not in DONE], list(sweep.space.axes)
    total = sweep.total_jobs(trials)
    count = total - len(sweep.jobs) + len(jobs)
    if count > len(jobs):  # a search has not drawn all jobs
        jobs += Job.from_overrides(representative_jobs(sweep.space), sweep.folder, first=total)
    print(f"plan       {sweep.folder}: {total} jobs, {count} to do", flush=True)
    if not count:
        return
    check_jobs(launcher, sweep.objective, jobs, [job.overrides for job in jobs], axes)
    startup = time.perf_counter() - start
    groups = group_by_cost(jobs, (launcher.compose(job.overrides) for job in jobs))
    print(f"measuring  {len(groups)} of {len(jobs)} jobs, shortened", flush=True)
    estimates: dict[int, tuple[Cost, float]] = {}
    errors = []
    for group, cost in zip(groups, measure_groups(groups, launcher), strict=True):
        if isinstance(cost, Cost):
            estimates |= {job.number: (cost, epochs) for job, epochs in group}
        else:
            first, _ = group[0]
            errors.append(f"{first.axis_values(axes)}: its shortened run failed; the total is without it\n  {cost}")
    print(job_table(jobs, estimates, axes), *errors, "", sep="\n")
    estimated = list(estimates.values())
    if not errors:  # a search draws further jobs, which cost as much as its representatives
        estimated = list(islice(cycle(estimated), count))
    print(total_line(estimated, launcher.slots, keep, startup, "at most" if pruned else "about"))


def group_by_cost(jobs: Sequence[Job], configs: Iterable[DictConfig]) -> list[Group]:
    """Return groups of jobs whose epochs cost the same, each job with its number of epochs, the longest first."""
    groups: dict[tuple[str, ...], Group] = {}
    for job, config in zip(jobs, configs, strict=True):
        if not has_known_length(config):
            raise config_error("sweep.plan", True, "the number of epochs is not known in advance", f"with {LENGTH}")
        epochs = epoch_limit(config) if epoch_limit(config) > 0 else math.inf
        groups.setdefault(cost_key(job.overrides), []).append((job, epochs))
    return [sorted(group, key=lambda pair: -pair[1]) for group in groups.values()]


def cost_key(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that determine the cost of an epoch."""
    return tuple(word for word in overrides if not FREE.fullmatch(word))


def measure_groups(groups: Sequence[Group], launcher: "LocalLauncher") -> list[Cost | str]:
    """Return the cost of each group, or the error, from a shortened run of its longest job.

    As many shortened runs as there are slots run at a time, as the jobs will.
    """
    costs: dict[int, Cost | str] = {}
    started: dict[int, float] = {}
    with TemporaryDirectory(prefix="trainyard-plan-") as place:
        overrides = []
        for index, ((job, _), *_) in enumerate(groups):
            words = shorten(job.overrides, launcher.compose(job.overrides))
            overrides.append([*words, f"hydra.sweep.dir={place}", f"hydra.sweep.subdir={index}"])
        groups_of_one = ([config] for config in launcher.compose_jobs(overrides))
        pool = launcher.create_pool(launcher.slots)
        for job_exit in pool.run(groups_of_one, lambda number: started.update({number: time.perf_counter()})):
            number, seconds = job_exit.number, time.perf_counter() - started[job_exit.number]
            try:
                costs[number] = job_exit.error or Cost.read(Path(place) / str(number), seconds)
            except FileNotFoundError:
                costs[number] = "its process ended before the run did"
    return [costs[index] for index in range(len(groups))]


def shorten(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a shortened run: it is measured, uses no server, and trains all layers from the start."""
    loggers = {name: str(part.get("_target_")) for name, part in (config.get("logger") or {}).items() if part}
    remote = [name for name, target in loggers.items() if not target.endswith(LOCAL_LOGGERS)]
    unfreeze = config.finetune.unfreeze
    unfrozen = [f"finetune.unfreeze=[{','.join('0' for _ in unfreeze)}]"] if any(unfreeze) else []
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
    half = MAX_ROWS // 2
    if len(rows) > MAX_ROWS:
        rows[half:-half] = [["...", f"{len(rows) - MAX_ROWS} more", *[""] * 5]]
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


class MeasureCost(L.Callback):
    """Shortens a run, and writes its cost into the run directory.

    The config stays that of the job, since schedules and fine-tuning depend on it: the limits are set in the Trainer.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the limits before Lightning counts the batches."""
        if stage == "fit":
            self.starts: list[float] = []  # of the epochs
            self.sizes: list[int] = []  # of the run directory after each epoch, in bytes
            self.limit = limit = trainer.limit_train_batches
            trainer.limit_train_batches = min(limit, STEPS) if isinstance(limit, int) else STEPS
            trainer.val_check_interval, trainer.check_val_every_n_epoch = 1.0, 1
            trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = 0, None

    def now(self, trainer: L.Trainer) -> float:
        """Return the time in seconds, after the GPU has finished."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        return time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an epoch, after the checkpoints of the previous one were saved."""
        if self.starts:
            self.sizes.append(run_size(trainer))
        self.starts.append(self.now(trainer))

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Time the steps after the first, which starts workers and compiles; end a slow run."""
        self.last_step, self.steps = self.now(trainer), batch_idx
        if batch_idx == 0:
            self.first_step = self.last_step
        is_late = self.last_step - self.starts[0] > MAX_SECONDS
        trainer.should_stop |= bool(trainer.strategy.reduce_boolean_decision(is_late, all=False))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run after enough epochs."""
        trainer.should_stop |= trainer.current_epoch + 1 >= EPOCHS

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the cost, as estimated by the last epoch."""
        end = self.now(trainer)
        self.sizes.append(run_size(trainer))
        total = len(trainer.train_dataloader)  # type: ignore[arg-type]
        total = min(total, self.limit) if isinstance(self.limit, int) else int(total * self.limit)
        seconds = self.last_step - self.first_step
        step = seconds / max(1, self.steps)
        max_steps = trainer.max_steps * trainer.accumulate_grad_batches
        cost = {
            "network": describe_network(pl_module),
            "training": end - self.starts[0],
            "epoch": (total - 1) * step + end - self.starts[-1] - seconds,
            "max_epochs": max_steps / total if max_steps > 0 else math.inf,
            "files": self.sizes[0],
            "growth": self.sizes[-1] - self.sizes[0],
        }
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / COST_FILE, cost)


def run_size(trainer: L.Trainer) -> int:
    """Return the size of the run directory without checkpoints, in bytes."""
    if writer := tensorboard_writer(trainer):
        writer.flush()
    return bytes_on_disk(Path(trainer.default_root_dir), without="checkpoints")


def describe_network(module: L.LightningModule) -> tuple[str, str]:
    """Return the number of parameters, and the shapes of input and output without the batch, as text."""
    parameters = f"{sum(parameter.numel() for parameter in module.parameters()):,}"
    example = module.example_input_array
    if not isinstance(example, torch.Tensor):
        return parameters, ""
    with torch.no_grad():
        output = module.eval()(example.to(module.device))
    return parameters, " -> ".join("x".join(map(str, tensor.shape[1:])) for tensor in (example, output))


def bytes_on_disk(folder: Path, without: str = "") -> int:
    """Return the size of all files in a folder, except in its subfolder `without`."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != without)
    return sum(path.stat().st_size for path in files)
