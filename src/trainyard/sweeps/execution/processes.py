"""Jobs in processes of their own, a few at a time."""

import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from trainyard.signals import Signals
from trainyard.sweeps.execution.devices import device_of
from trainyard.sweeps.execution.job_process import run_in_process
from trainyard.sweeps.execution.running import Ended, Running
from trainyard.sweeps.execution.stack_process import run_stack_in_process
from trainyard.sweeps.execution.task import Task

LOOK_EVERY = 0.5  # seconds
PATIENCE = 60.0  # seconds that jobs have to save and stop


def ignore(*_: object) -> None:
    """Do nothing."""


class Slots:
    """Runs jobs side by side, each in a process that a server forks which has imported torch and Lightning.

    Attributes:
        begin: called with the number of each job when it starts.
        look: called twice a second while jobs run.

    Args:
        slots: jobs at a time; each has its share of the cores, or of OMP_NUM_THREADS where that is less, and of the
            GPUs.
        task: the function `module:name` that runs a config.
        context: of multiprocessing, which starts processes.
    """

    def __init__(self, slots: int, task: str, context: Any) -> None:
        self.slots = slots
        self.task = task
        self.begin: Callable[[int], None] = ignore
        self.look: Callable[[], None] = ignore
        self.threads = max(1, threads_in_all() // slots)
        self.context = context
        self.running: list[Running] = []
        self.stopping = False

    def run(self, tasks: Iterable[Task]) -> Generator[Ended, None, None]:
        """Run the tasks in order, and yield each of their jobs as it ends; a slot that is free is filled at once.

        A signal that ends the sweep has the jobs save and stop, and is raised as `Interrupted` when they have; a second
        Ctrl-C ends them at once.
        """
        waiting = iter(tasks)
        with Signals() as signals:
            signals.defer(True)
            yield from self.run_until(signals, waiting)

    def run_until(self, signals: Signals, waiting: Iterator[Task]) -> Generator[Ended, None, None]:
        """Run tasks, as in `run`, until a signal is caught."""
        try:
            while not signals.caught:
                while not self.stopping and len(self.running) < self.slots and (task := next(waiting, None)):
                    self.start(task)
                if not self.running:
                    return
                ends = [job.process.sentinel for job in self.running]
                wait([*ends, *(job.hear for job in self.running if len(job.numbers) > 1)], timeout=LOOK_EVERY)
                self.look()
                yield from self.ended()
            self.stop()
            yield from self.ended()
            signals.leave(signals.caught)
        finally:  # whatever happened: none runs on when the sweep is free for others
            self.kill()

    def start(self, task: Task) -> None:
        """Start a task in the first free slot."""
        slot = min(set(range(self.slots)) - {job.slot for job in self.running})
        hear, say = self.context.Pipe(duplex=False)
        run = run_in_process if len(task.numbers) == 1 else run_stack_in_process
        arguments = (task, self.task, self.threads, device_of(slot, self.slots), say)
        process = self.context.Process(target=run, args=arguments)
        for number in task.numbers:
            self.begin(number)
        process.start()
        say.close()
        self.running.append(Running(list(task.numbers), process, slot, hear))

    def ended(self) -> list[Ended]:
        """Return the jobs that have ended since the last look."""
        gone = [job for job in self.running if not job.process.is_alive()]
        found = [ended for job in self.running for ended in (job.left() if job in gone else job.heard())]
        self.running = [job for job in self.running if job not in gone]
        for job in gone:
            end_group(job.process.pid)
        return [replace(ended, error="" if self.stopping else ended.error) for ended in found]

    def stop(self) -> None:
        """Start no more, and have those that run save and stop; kill those that do not in a minute."""
        self.stopping = True
        for job in self.running:
            signal_to(job.process.pid, signal.SIGINT)
        until = time.monotonic() + PATIENCE
        for job in self.running:
            job.process.join(max(0.0, until - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End the jobs that still run, at once."""
        for job in self.running:
            if job.process.is_alive():
                signal_to(job.process.pid, signal.SIGKILL)
                job.process.join()


def signal_to(pid: int, number: int) -> None:
    """Send a signal to the processes of a job."""
    for send in (os.killpg, os.kill):  # a job that has just started has no group yet
        with suppress(OSError):  # it has ended
            send(pid, number)
            return


def end_group(pid: int) -> None:
    """End what a job has started and left behind."""
    if hasattr(os, "killpg"):
        with suppress(OSError):  # there is nothing
            os.killpg(pid, signal.SIGKILL)


def threads_in_all() -> int:
    """Return how many threads of torch all jobs together may have: one a core, or fewer where a person says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) else cores
