"""What a person sees of a sweep while it runs."""

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainyard.sweeps.execution.running import Ended
from trainyard.sweeps.job import DONE, Job
from trainyard.sweeps.progress import JobProgress
from trainyard.sweeps.queue import Queue

NUMBERS = 45  # columns of the table beside the overrides, which are cut where the terminal is narrow


class Watch:
    """Says in a line how each job ended; on a terminal, a table below tells where those stand that run.

    A context manager, for the time that jobs run.

    Args:
        queue: the jobs that run, in the order of their start.
        fail_fast: whether the first failure ends the sweep.
    """

    def __init__(self, queue: Queue, fail_fast: bool = False) -> None:
        self.queue = queue
        self.jobs = queue.jobs
        self.sweep = queue.sweep
        self.objective = queue.sweep.stored.objective
        self.fail_fast = fail_fast
        self.ended = 0
        self.started = time.monotonic()
        self.running: dict[int, JobProgress] = {}
        self.console = Console()
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Watch":
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def begin(self, position: int) -> None:
        """Take note that a job starts."""
        self.sweep.begin(self.jobs[position])
        self.running[position] = JobProgress(self.jobs[position], self.objective)
        self.look()

    def end(self, ended: Ended) -> bool:
        """Say how a job ended, in a line; return whether the sweep is to stop because of it."""
        job, progress = self.jobs[ended.number], self.running.pop(ended.number)
        self.sweep.finish(job, ended.error)
        self.ended += 1
        count = f"[{self.done}/{self.queue.total}]"
        line = f"{count} #{job.number} {job.varying(self.sweep.axes)}  {outcome(job)}  {progress.seconds:.1f} s"
        self.console.print(line, soft_wrap=True, markup=False, highlight=False)
        self.look()
        return self.fail_fast and job.status == "failed"

    def look(self) -> None:
        """Show where the running jobs stand, where a terminal is."""
        if self.live.is_started:
            for progress in self.running.values():
                progress.look()
            self.live.update(Group(self.table(), Text(self.remaining())), refresh=True)

    @property
    def done(self) -> int:
        """Number of the jobs that have ended, now or before."""
        return self.queue.before + self.ended

    def table(self) -> Table:
        """Return a row for each job that runs."""
        table = Table("job", "", "epoch", f"best {self.objective}", "to go", box=None, pad_edge=False)
        for column in table.columns:
            column.no_wrap = True
        table.columns[1].max_width = max(10, self.console.width - NUMBERS)
        for position, progress in self.running.items():
            job = self.jobs[position]
            epoch = f"{progress.epoch}/{progress.epochs}" if progress.epochs else "starting"
            best = "" if progress.best is None else f"{progress.best:.4f}"
            table.add_row(
                f"#{job.number}", Text(job.varying(self.sweep.axes)), epoch, best, duration(progress.seconds_left)
            )
        return table

    def remaining(self) -> str:
        """Return how many jobs are done, and the time that the rest will take, by those of now."""
        left = self.queue.total - self.done
        seconds = (time.monotonic() - self.started) / self.ended * left if self.ended else None
        return f"{self.done} of {self.queue.total} done" + (f", about {duration(seconds)} to go" if seconds else "")


def duration(seconds: float | None) -> str:
    """Return a time as a person says it: in seconds, minutes or hours; nothing where it is not known."""
    if seconds is None:
        return ""
    unit, size = ("h", 3600) if seconds > 5400 else ("min", 60) if seconds > 90 else ("s", 1)
    return f"{seconds / size:.1f} {unit}" if unit == "h" else f"{seconds / size:.0f} {unit}"


def outcome(job: Job) -> str:
    """Return how a job ended, in a few words."""
    if job.status in DONE:
        best = job.result["objective"]
        score = f"{best['name']} {best['value']:.4f} at epoch {best['epoch']} of {job.result['epochs']}"
        return score if job.status == "completed" else f"pruned: {score}"
    error = str(job.result.get("error") or "").strip()
    return f"{job.status}: {error.splitlines()[0][:160]}" if error else job.status
