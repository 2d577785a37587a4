"""The progress of a sweep on the terminal: a line for each job that ends, and a live table of those that run."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainyard.files import open_regular
from trainyard.run_ending import full_disk
from trainyard.sweeps.execution.processes import JobExit
from trainyard.sweeps.job import DONE, Job
from trainyard.sweeps.options import mode_of
from trainyard.sweeps.sweep import JobQueue
from trainyard.terminal.controls import escape_controls, unescaped
from trainyard.terminal.durations import duration

OTHER_COLUMNS = 45  # width of the table without the overrides, which are cut on a narrow terminal
EPOCH = re.compile(r": epoch (\d+)/(\d+)(.*)")


class SweepProgress:
    """Prints how each job ended, and shows the running jobs if the output is a terminal. A context manager.

    Args:
        queue: of the sweep.
        jobs: that run, in the order of their start; more may be added.
        on_start: called with each job that starts.
        fail_fast: whether the first failure ends the sweep.
    """

    def __init__(
        self, queue: JobQueue, jobs: Sequence[Job], on_start: Callable[[Job], object], fail_fast: bool = False
    ) -> None:
        self.queue, self.sweep = queue, queue.sweep
        self.jobs, self.on_start = jobs, on_start
        self.objective = queue.sweep.stored.objective
        self.fail_fast = fail_fast
        self.ended = 0
        self.started_at = time.monotonic()
        self.running: dict[int, JobProgress] = {}
        self.console = Console(file=unescaped(sys.stdout))
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> "SweepProgress":
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def start(self, index: int) -> None:
        """Add a job that starts, by its index in `jobs`."""
        self.on_start(self.jobs[index])
        self.running[index] = JobProgress(self.jobs[index], self.objective)
        self.update()

    def finish(self, end: JobExit) -> bool:
        """Print how a job ended; return whether this ends the sweep."""
        job, progress = self.jobs[end.index], self.running.pop(end.index)
        self.sweep.finish(job, "" if end.disk_full else end.error)
        self.ended += 1
        self.queue.done += 1
        seconds = max(progress.seconds, job.result.get("seconds", 0.0))  # a remote job started before it was seen
        count = f"[{self.queue.done}/{self.queue.total}]"
        line = f"{count} #{job.number} {job.axis_values(self.sweep.axes)}  {outcome(job)}  {seconds:.1f} s"
        self.print(escape_controls(line, keep=""))
        self.update()
        if end.disk_full:
            folder = self.sweep.stored.folder
            advice = "no more jobs start; free some space, then repeat the command"
            self.print(f"{full_disk(folder)} in {folder}: {advice}")
        return end.disk_full or (self.fail_fast and job.status == "failed")

    def print(self, line: str) -> None:
        """Print a line above the live table."""
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)

    def update(self) -> None:
        """Redraw the live table."""
        if self.live.is_started:
            for progress in self.running.values():
                progress.update()
            self.live.update(Group(self.table(), Text(self.remaining())), refresh=True)

    def table(self) -> Table:
        """Return a row for each running job."""
        table = Table("job", "", "epoch", f"best {self.objective}", "to go", box=None, pad_edge=False)
        for column in table.columns:
            column.no_wrap = True
        table.columns[1].max_width = max(10, self.console.width - OTHER_COLUMNS)
        for index, progress in self.running.items():
            job = self.jobs[index]
            epoch = f"{progress.epoch}/{progress.epochs}" if progress.epochs else "starting"
            best = "" if progress.best is None else f"{progress.best:.4f}"
            varying = Text(escape_controls(job.axis_values(self.sweep.axes), keep=""))
            table.add_row(f"#{job.number}", varying, epoch, best, duration(progress.seconds_left))
        return table

    def remaining(self) -> str:
        """Return the number of jobs that are done, and the estimated time of the others."""
        left = self.queue.total - self.queue.done
        seconds = (time.monotonic() - self.started_at) / self.ended * left if self.ended else None
        estimate = f", about {duration(seconds)} to go" if seconds else ""
        return f"{self.queue.done} of {self.queue.total} done{estimate}"


class JobProgress:
    """The progress of a running job, from its log.

    Attributes:
        epoch: last epoch that is finished; 0 before the first.
        epochs: number of epochs; 0 before the first is finished.
        best: best score so far, with that of an earlier start.
    """

    def __init__(self, job: Job, objective: str) -> None:
        self.file = job.folder / "run.log"
        self.score = re.compile(rf"{re.escape(objective)} (\S+)")
        self.choose = max if mode_of(objective) == "max" else min
        self.epoch = self.epochs = self.offset = 0
        self.best: float | None = None
        self.update()
        self.started_at, self.start_epoch = time.monotonic(), self.epoch

    def update(self) -> None:
        """Read the new lines of the log."""
        with suppress(OSError), open_regular(self.file, most=None) as log:
            log.seek(self.offset)
            added = log.read()
            lines = added[: added.rfind(b"\n") + 1]
            self.offset += len(lines)
            for epoch, epochs, scores in EPOCH.findall(lines.decode("utf-8", errors="replace")):
                self.epoch, self.epochs = int(epoch), int(epochs)
                if found := self.score.search(scores):
                    score = float(found[1])
                    self.best = score if self.best is None else self.choose(self.best, score)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_at

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end; `None` before the first epoch is finished."""
        done = self.epoch - self.start_epoch
        return self.seconds / done * (self.epochs - self.epoch) if done > 0 else None


def outcome(job: Job) -> str:
    """Return how a job ended, in a few words."""
    if job.status in DONE:
        best = job.result["objective"]
        score = f"{best['name']} {best['value']:.4f} at epoch {best['epoch']} of {job.result['epochs']}"
        return score if job.status == "completed" else f"pruned: {score}"
    error = str(job.result.get("error") or "").strip()
    return f"{job.status}: {error.splitlines()[0][:160]}" if error else job.status
