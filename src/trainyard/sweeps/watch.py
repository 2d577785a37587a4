"""What a person sees of a sweep while it runs."""

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainyard.run_directory import DONE
from trainyard.run_ending import full_disk
from trainyard.sweeps.execution.running import Ended
from trainyard.sweeps.job import Job
from trainyard.sweeps.progress import JobProgress
from trainyard.sweeps.worklist import Worklist
from trainyard.terminal.controls import escape_controls, unescaped
from trainyard.terminal.durations import duration

NUMBERS = 45  # columns of the table beside the overrides, which are cut where the terminal is narrow


class Watch:
    """Says in a line how each job ended; on a terminal, a table below tells where those stand that run.

    A context manager, for the time that jobs run.

    Args:
        work: of the sweep.
        jobs: that run, in the order of their start; more may come.
        began: called with a job when it starts.
        fail_fast: whether the first failure ends the sweep.
    """

    def __init__(
        self, work: Worklist, jobs: Sequence[Job], began: Callable[[Job], object], fail_fast: bool = False
    ) -> None:
        self.work, self.sweep = work, work.sweep
        self.jobs, self.began = jobs, began
        self.objective = work.sweep.stored.objective
        self.fail_fast = fail_fast
        self.ended = 0
        self.started = time.monotonic()
        self.running: dict[int, JobProgress] = {}
        self.console = Console(file=unescaped(sys.stdout))
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
        self.began(self.jobs[position])
        self.running[position] = JobProgress(self.jobs[position], self.objective)
        self.look()

    def end(self, ended: Ended) -> bool:
        """Say how a job ended, in a line; return whether the sweep is to stop because of it."""
        job, progress = self.jobs[ended.number], self.running.pop(ended.number)
        self.sweep.finish(job, "" if ended.disk_full else ended.error)
        self.ended += 1
        self.work.done += 1
        count = f"[{self.work.done}/{self.work.total}]"
        seconds = max(progress.seconds, job.result.get("seconds", 0.0))  # what began elsewhere was seen late
        line = f"{count} #{job.number} {job.varying(self.sweep.axes)}  {outcome(job)}  {seconds:.1f} s"
        self.console.print(escape_controls(line, keep=""), soft_wrap=True, markup=False, highlight=False)
        self.look()
        if ended.disk_full:
            folder = self.sweep.stored.folder
            full = f"{full_disk(folder)} in {folder}: no more jobs start; free some space, then repeat the command"
            self.console.print(full, soft_wrap=True, markup=False, highlight=False)
        return ended.disk_full or (self.fail_fast and job.status == "failed")

    def look(self) -> None:
        """Show where the running jobs stand, where a terminal is."""
        if self.live.is_started:
            for progress in self.running.values():
                progress.look()
            self.live.update(Group(self.table(), Text(self.remaining())), refresh=True)

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
            varying = Text(escape_controls(job.varying(self.sweep.axes), keep=""))
            table.add_row(f"#{job.number}", varying, epoch, best, duration(progress.seconds_left))
        return table

    def remaining(self) -> str:
        """Return how many jobs are done, and the time that the rest will take, by those of now."""
        left = self.work.total - self.work.done
        seconds = (time.monotonic() - self.started) / self.ended * left if self.ended else None
        return f"{self.work.done} of {self.work.total} done" + (f", about {duration(seconds)} to go" if seconds else "")


def outcome(job: Job) -> str:
    """Return how a job ended, in a few words."""
    if job.status in DONE:
        best = job.result["objective"]
        score = f"{best['name']} {best['value']:.4f} at epoch {best['epoch']} of {job.result['epochs']}"
        return score if job.status == "completed" else f"pruned: {score}"
    error = str(job.result.get("error") or "").strip()
    return f"{job.status}: {error.splitlines()[0][:160]}" if error else job.status
