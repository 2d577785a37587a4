"""Jobs in processes of their own on this machine, a few at a time."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from trainyard.config.import_path import installed_only_in_children
from trainyard.io.resources import available_cores
from trainyard.io.signals import ENDING, Signals
from trainyard.sweeps.execution.job_process import NOHUP, HydraTask, job_number, run_job_process, run_stack_process

POLL_INTERVAL = 0.5  # seconds
GRACE_PERIOD = 60.0  # seconds in which interrupted jobs have to save a checkpoint
SAVED = tuple(128 + getattr(signal, name) for name in ENDING if hasattr(signal, name))  # exit codes after a checkpoint
UNFLUSHED = 120  # exit code of Python if the disk is too full for the last lines of the console


@dataclass(frozen=True)
class JobExit:
    """How a job ended; `error` is empty without one."""

    number: int
    error: str
    disk_full: bool = False


@dataclass
class Worker:
    """A running process, with the numbers of its jobs that have not ended."""

    numbers: list[int]
    process: Any
    slot: int
    messages: Connection

    def read_reports(self) -> Iterator[JobExit]:
        """Yield the jobs that the process has reported as ended."""
        with suppress(EOFError, OSError):
            while self.numbers and self.messages.poll():
                job_exit = JobExit(*self.messages.recv())
                self.numbers.remove(job_exit.number)
                yield job_exit

    def collect_exits(self) -> Iterator[JobExit]:
        """Yield the remaining jobs of a process that has exited."""
        yield from self.read_reports()
        for number in self.numbers:
            yield JobExit(number, exit_reason(self.process.exitcode))
        self.numbers = []


class ProcessPool:
    """Runs jobs side by side, each in a process forked from a server that has imported torch and Lightning.

    Each of the `slots` has its share of the cores (or of OMP_NUM_THREADS) and of the GPUs.
    """

    def __init__(self, slots: int, task: HydraTask, context: Any) -> None:
        self.slots = slots
        self.task = task
        self.context = context
        self.threads = max(1, available_threads() // slots)
        self.workers: list[Worker] = []
        self.stopping = False

    def run(
        self,
        groups: Iterable[Sequence[DictConfig]],
        on_start: Callable[[int], object] = lambda number: None,
        on_poll: Callable[[], object] = lambda: None,
    ) -> Generator[JobExit, None, None]:
        """Run groups of jobs in order, each in one process; yield each job as it ends. A free slot is filled at once.

        At a signal that ends the sweep, the jobs save a checkpoint and stop, and `Interrupted` is raised; a second
        Ctrl-C kills them. `on_start` is called with the number of each job before it starts, `on_poll` twice a second.
        """
        waiting = iter(groups)
        with Signals() as signals:
            signals.defer(True)
            try:
                while not signals.caught:
                    while not self.stopping and len(self.workers) < self.slots and (group := next(waiting, None)):
                        for config in group:
                            on_start(job_number(config))
                        self.start(group)
                    if not self.workers:
                        return
                    stacks = [worker.messages for worker in self.workers if len(worker.numbers) > 1]
                    wait([*(worker.process.sentinel for worker in self.workers), *stacks], timeout=POLL_INTERVAL)
                    on_poll()
                    yield from self.collect()
                self.stop()
                yield from self.collect()
                signals.leave(signals.caught)
            finally:
                self.kill()

    def start(self, group: Sequence[DictConfig]) -> None:
        """Start a process in the first free slot."""
        slot = min(set(range(self.slots)) - {worker.slot for worker in self.workers})
        messages, sender = self.context.Pipe(duplex=False)
        target = run_job_process if len(group) == 1 else run_stack_process
        devices = devices_of_slot(slot, self.slots)
        arguments = (group, self.task, self.threads, devices, sender)
        process = self.context.Process(target=target, args=arguments)
        process.start()
        sender.close()
        self.workers.append(Worker([job_number(config) for config in group], process, slot, messages))

    def collect(self) -> list[JobExit]:
        """Return the jobs that have ended since the last call."""
        exits: list[JobExit] = []
        for worker in list(self.workers):
            if worker.process.is_alive():
                exits += worker.read_reports()
                continue
            exits += worker.collect_exits()
            self.workers.remove(worker)
            send_signal(worker.process.pid, signal.SIGKILL, to_process=False)  # processes that it has started
        return [replace(job_exit, error="") if self.stopping else job_exit for job_exit in exits]

    def stop(self) -> None:
        """Start no more jobs, and interrupt the running ones; kill them after a minute."""
        self.stopping = True
        for worker in self.workers:
            send_signal(worker.process.pid, signal.SIGINT)
        deadline = time.monotonic() + GRACE_PERIOD
        for worker in self.workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill the running jobs."""
        for worker in self.workers:
            if worker.process.is_alive():
                send_signal(worker.process.pid, signal.SIGKILL)
                worker.process.join()


def send_signal(pid: int, number: int, to_process: bool = True) -> None:
    """Send a signal to the process group of a job, or to the process while it has no group yet."""
    senders = [os.killpg] if hasattr(os, "killpg") else []
    for send in (*senders, *([os.kill] if to_process else [])):
        with suppress(OSError):
            send(pid, number)
            return


def exit_reason(code: int | None) -> str:
    """Return the error of a process that did not report one; empty if it succeeded or was interrupted."""
    if code in (0, UNFLUSHED, *SAVED):
        return ""
    if code is not None and code < 0:
        hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
        return f"killed by {signal.Signals(-code).name}{hint}"
    return f"its process ended with code {code}"


def available_threads() -> int:
    """Return the number of threads for all jobs together: the number of cores, or OMP_NUM_THREADS if that is less."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_cores(), int(limit)) if limit.isdecimal() and int(limit) else available_cores()


def devices_of_slot(slot: int, slots: int) -> str | None:
    """Return the GPUs of a slot as a value of CUDA_VISIBLE_DEVICES; `None` without GPUs to divide.

    They are counted without CUDA, which must not be initialized before a fork.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        numbers = sorted(int(file.name[6:]) for file in Path("/dev").glob("nvidia*") if file.name[6:].isdigit())
        visible = ",".join(map(str, numbers))
    devices = [device for device in visible.split(",") if device]
    if not devices or slots == 1:
        return None
    return ",".join(devices[slot % len(devices) :: slots])


def job_context(with_pruner: bool = False) -> Any:
    """Return the multiprocessing context of jobs: on POSIX a fork server that has imported their modules.

    The server ignores signals, since it has to outlive the jobs.
    """
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    pruner = ["trainyard.sweeps.pruning"] if with_pruner else []
    context.set_forkserver_preload(["trainyard.sweeps.execution.preloaded", *pruner])
    ignored = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    os.environ[NOHUP] = str(int(handlers[signal.SIGHUP] == signal.SIG_IGN))
    try:
        with installed_only_in_children():
            ensure_running()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        del os.environ[NOHUP]
    return context
