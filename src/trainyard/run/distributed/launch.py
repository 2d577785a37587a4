"""Starts the processes of a distributed run, watches them, and ends all of them when one fails."""

import errno
import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig
from torch.distributed import DistError

from trainyard.config.composition import instantiate
from trainyard.config.import_path import forget_safe_path, installed_only_in_children
from trainyard.io.errors import ConfigError
from trainyard.io.resources import is_disk_full
from trainyard.io.signals import Interrupted, Signals
from trainyard.run.distributed.strategies import WeightedGradients
from trainyard.run.run import Run, find_cause
from trainyard.run.run_directory import LOG
from trainyard.terminal.logs import close_log, open_log

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
EXIT_SECONDS = 5.0  # for the other processes to exit after one failed, and again after each signal
SAVE_SECONDS = 60.0  # for the processes to finish a step and save, when the run is interrupted


class ProcessDied(RuntimeError):  # noqa: N818  # named like torch's ProcessExitedException
    """A process of a distributed run ended early; the message gives its rank and the reason."""


@dataclass
class Report:
    """The report that a process sends before it exits.

    Attributes:
        result, began: attributes of its `Run`.
        error: for the parent to raise, if an exception ended the process.
        signal: number of the signal that interrupted it, or 0.
        lost_connection: whether the exception is only a consequence of the end of another process.
    """

    result: dict[str, Any] = field(default_factory=dict)
    began: bool = False
    error: Exception | None = None
    signal: int = 0
    lost_connection: bool = False


@dataclass(eq=False)
class Rank:
    """A process that this one has started; `number` is its global rank."""

    number: int
    process: SpawnProcess
    pipe: Connection
    report: Report | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended with an error, or without a report."""
        return self.report is None or self.report.error is not None

    def receive(self) -> None:
        """Read the report, if the process has sent one."""
        with suppress(EOFError, OSError):
            if self.report is None and self.pipe.poll():
                self.report = self.pipe.recv()

    def error(self) -> Exception:
        """Return the error of a process that failed."""
        if self.report is not None and self.report.error is not None:
            return self.report.error
        code = self.process.exitcode or 0
        if code >= 0:
            return ProcessDied(f"rank {self.number} ended with exit code {code}, before the others")
        more = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        return ProcessDied(f"rank {self.number} was killed by {name}{more}")


def count_processes(cfg: DictConfig) -> int:
    """Return how many processes to start on this machine; 1 if torchrun, SLURM or another program starts them."""
    if not isinstance(cfg.trainer.get("strategy"), DictConfig):
        return 1
    devices = {name: cfg.trainer[name] for name in ("accelerator", "devices", "num_nodes") if name in cfg.trainer}
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(**devices, **quiet, strategy=instantiate(cfg.trainer.strategy), enable_model_summary=False)
    strategy = trainer.strategy
    if not isinstance(strategy, WeightedGradients) or strategy.cluster_environment is None:
        return 1
    return 1 if strategy.cluster_environment.creates_processes_externally else trainer.num_devices


def run_in_processes(function: Callable[[DictConfig, Run], None], cfg: DictConfig, run: Run, count: int) -> None:
    """Call `function(cfg, run)` in several processes; `run` gets the result of rank 0.

    Raises:
        ProcessDied: a process was killed, failed, or ended before the others.
        ConfigError, OSError: a process raised it; an OSError if the disk is full.
        Interrupted: a process received a signal, and all have saved.
    """
    ranks: list[Rank] = []
    try:
        start(ranks, function, cfg, run, count)
        ended = wait_for(ranks)
    except (KeyboardInterrupt, SystemExit):
        stop(ranks, SAVE_SECONDS)
        raise
    finally:
        stop(ranks, EXIT_SECONDS)
        if ranks and ranks[0].report is not None:
            run.result, run.began = ranks[0].report.result, ranks[0].report.began
    raise_failure(ended)


def start(ranks: list[Rank], function: Callable[..., None], cfg: DictConfig, run: Run, count: int) -> None:
    """Start the processes and append them to `ranks`."""
    context = multiprocessing.get_context("spawn")
    environment = LightningEnvironment()
    port, first_rank = environment.main_port, environment.node_rank() * count
    with installed_only_in_children():
        for local_rank in range(count):
            rank = first_rank + local_rank
            variables = {"LOCAL_RANK": local_rank, "RANK": rank, "MASTER_PORT": port}
            own = replace(run, is_rank_zero=rank == 0, lock=None, handlers=[], signals=Signals())
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_rank, args=(variables, function, cfg, own, sender))
            process.start()
            sender.close()  # so that the receiver notices when the process ends
            ranks.append(Rank(rank, process, receiver))


def wait_for(ranks: Sequence[Rank]) -> list[Rank]:
    """Wait until all processes have ended, or some seconds after one failed; return those that ended, in order."""
    ended: list[Rank] = []
    deadline = math.inf
    while len(ended) < len(ranks) and time.monotonic() < deadline:
        running = [rank for rank in ranks if rank not in ended]
        ready = wait([rank.pipe for rank in running], POLL_SECONDS)
        for rank in running:
            if rank.pipe in ready or rank.process.exitcode is not None:
                rank.receive()
                ended.append(rank)
        if any(rank.failed for rank in ended):
            deadline = min(deadline, time.monotonic() + EXIT_SECONDS)
    for rank in ended:
        rank.process.join(EXIT_SECONDS)
    return ended


def stop(ranks: Sequence[Rank], seconds: float) -> None:
    """End the processes that still run, with some seconds after each signal.

    SIGTERM ends them at their next step, SIGINT at once, SIGKILL by force.

    SIGTERM comes first: after Ctrl-C in a terminal they have received SIGINT, and a second one would end them in the
    middle of a step.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        for rank in ranks:
            if rank.process.is_alive() and rank.process.pid is not None:
                os.kill(rank.process.pid, number)
        for rank in ranks:
            if rank.report is None and rank.process.is_alive():
                wait([rank.pipe], max(0.0, deadline - time.monotonic()))  # a process cannot exit before it is read
            rank.receive()
            rank.process.join(max(0.0, deadline - time.monotonic()))


def raise_failure(ended: Sequence[Rank]) -> None:
    """Raise the exception for the process that failed first, if one failed."""
    failed = [rank for rank in ended if rank.failed]
    if number := next((rank.report.signal for rank in failed if rank.report and rank.report.signal), 0):
        raise Interrupted(number)
    causes = [rank for rank in failed if rank.report is None or not rank.report.lost_connection]
    if failed:
        raise (causes or failed)[0].error()


def run_rank(
    variables: dict[str, int], function: Callable[[DictConfig, Run], None], cfg: DictConfig, run: Run, pipe: Connection
) -> None:
    """Call the function in a process that `start` has started, and send its report."""
    end_with_parent()
    forget_safe_path()
    os.environ.update({name: str(value) for name, value in variables.items()})
    handlers = open_log(run.dir / LOG, run.is_rank_zero)
    report = Report()
    try:
        with run.signals:
            function(cfg, run)
    except BaseException as caught:
        report = failure_report(variables["RANK"], find_cause(caught, run.signals.first))
        if not report.signal and not report.lost_connection:
            log.error("rank %d failed", variables["RANK"], exc_info=caught, extra={"displayed": True})
    finally:
        close_log(handlers)
    report.result, report.began = run.result, run.began
    pipe.send(report)
    sys.exit(report.error is not None)


def failure_report(rank: int, error: BaseException | None) -> Report:
    """Return the report of a process that an exception ended."""
    text = f"rank {rank} failed: {type(error).__name__}: {error}"
    number = error.signum if isinstance(error, Interrupted) else 0
    raised: Exception = ProcessDied(text)
    if isinstance(error, ConfigError):
        raised = ConfigError(str(error))
    elif is_disk_full(error):
        raised = OSError(errno.ENOSPC, f"rank {rank} failed: {getattr(error, 'strerror', None) or error}")
    return Report(
        error=raised,
        signal=signal.SIGINT if isinstance(error, KeyboardInterrupt) else number,
        lost_connection=isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)),
    )


def end_with_parent() -> None:
    """End this process some seconds after the one that started it."""

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        time.sleep(EXIT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
