"""Helpers of the benchmark scripts: timing, interleaved rounds, medians and ratios."""

import contextlib
import ctypes
import itertools
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import lightning as L

from trainyard.terminal.tables import table

Rounds = list[dict[str, float]]  # in each round, a measurement by the name of its variant


def measure_rounds(variants: Mapping[str, Callable[[], float]], rounds: int) -> Rounds:
    """Measure all variants in each round, so that a change in the speed of the machine affects all of them."""
    return [{name: measure() for name, measure in variants.items()} for _ in range(rounds)]


def median(rounds: Rounds, name: str) -> float:
    """Return the median of a variant."""
    return statistics.median(times[name] for times in rounds)


def median_ratio(rounds: Rounds, name: str, baseline: str) -> float:
    """Return the median of the ratios within a round; the speed of the machine differs between rounds."""
    return statistics.median(times[name] / times[baseline] for times in rounds)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows of a name and one cell per column."""
    print(table([title, *columns], rows, right=columns), flush=True)


def time_call(function: Callable[[], object]) -> float:
    """Return the duration of a call in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def cpu_time(function: Callable[[], object]) -> float:
    """Return the CPU time of a call in milliseconds."""
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)


def time_python(arguments: Sequence[str], folder: Path, **environment: str) -> float:
    """Return the wall time of a Python process in seconds; its output is discarded."""
    command = [sys.executable, *arguments]
    env = {**os.environ, **environment}
    return time_call(lambda: subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True))


def process_times(arguments: Sequence[str], folder: Path, **environment: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a Python process with all processes that it starts; Linux only.

    As their "subreaper", this process inherits those that outlive their parent, so that their time is counted.
    """
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time_python(arguments, folder, **environment)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class EpochTimer(L.Callback):
    """Records the start of each epoch and the end of the last one."""

    times: list[float] = []  # noqa: RUF012  shared by all instances: a run builds its own from the config

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the time."""
        self.times.append(time.perf_counter())

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the time."""
        self.times.append(time.perf_counter())


EPOCH_TIMER = "+callbacks.timer._target_=benchmark_helpers.EpochTimer"


@contextlib.contextmanager
def time_epochs() -> Iterator[list[float]]:
    """Yield a list that contains the seconds of each epoch when the context ends; printed output is discarded."""
    EpochTimer.times.clear()
    seconds: list[float] = []
    with (
        Path(os.devnull).open("w") as devnull,
        contextlib.redirect_stdout(devnull),
        contextlib.redirect_stderr(devnull),
    ):
        yield seconds
    seconds += [end - start for start, end in itertools.pairwise(EpochTimer.times)]
