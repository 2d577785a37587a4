"""The progress of a sweep on the terminal: a line for each job that ends, and a bar for each running job."""

import re
import sys
import time
from contextlib import suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from trainyard.config.objective import Objective
from trainyard.io.files import open_regular
from trainyard.io.resources import describe_full_disk
from trainyard.run.run_directory import DONE
from trainyard.sweeps.job import Job
from trainyard.sweeps.sweep import Sweep
from trainyard.terminal.controls import escape_controls, unescaped
from trainyard.terminal.formats import format_score

EPOCH = re.compile(r": epoch (\d+)/(\d+)(.*)")


class SweepProgress:
    """Prints how each job ended, and shows the running jobs if the output is a terminal, in the context of `bars`."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.running: dict[int, JobProgress] = {}  # by number of the job
        self.console = Console(file=unescaped(sys.stdout))
        is_live = self.console.is_terminal and not self.console.is_dumb_terminal
        self.bars = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=False,
            transient=True,
            expand=True,
            speed_estimate_period=3600,
            disable=not is_live,
        )
        self.all_jobs = self.bars.add_task("all jobs", total=sweep.total, completed=sweep.done, score="")

    def start(self, job: Job) -> None:
        """Add the bar of a job that starts."""
        task = self.bars.add_task(self.describe(job), total=None, score="")
        self.running[job.number] = JobProgress(job, self.sweep.stored.objective, self.bars, task)
        self.update()

    def finish(self, job: Job) -> None:
        """Print how a job ended, and remove its bar."""
        sweep, progress = self.sweep, self.running.pop(job.number)
        self.bars.remove_task(progress.task)
        self.bars.update(self.all_jobs, completed=sweep.done, total=sweep.total)
        seconds = job.result.get("seconds", time.monotonic() - progress.started_at)
        self.print(f"[{sweep.done}/{sweep.total}] {self.describe(job)}  {outcome(job)}  {seconds:.1f} s")
        self.update()
        if sweep.disk_full:
            advice = "no more jobs start; free some space, then repeat the command"
            self.print(f"{describe_full_disk(sweep.folder)} in {sweep.folder}: {advice}")

    def describe(self, job: Job) -> str:
        """Return the number of a job and the values that vary."""
        return escape_controls(f"#{job.number} {job.axis_values(self.sweep.axes)}", keep="")

    def print(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(escape_controls(line, keep=""), soft_wrap=True, markup=False, highlight=False)

    def update(self) -> None:
        """Redraw the bars."""
        if not self.bars.disable:
            for progress in self.running.values():
                progress.update()
            self.bars.refresh()


class JobProgress:
    """Updates the bar of a running job from its log; `best` is the best score in the log."""

    def __init__(self, job: Job, objective: Objective, bars: Progress, task: TaskID) -> None:
        self.file = job.folder / "run.log"
        self.score = re.compile(rf"{re.escape(objective.name)} (\S+)")
        self.choose = max if objective.mode == "max" else min
        self.bars, self.task = bars, task
        self.offset = 0
        self.best: float | None = None
        self.started_at = time.monotonic()

    def update(self) -> None:
        """Read the new lines of the log."""
        with suppress(OSError), open_regular(self.file, max_bytes=None) as log:
            log.seek(self.offset)
            added = log.read()
            lines = added[: added.rfind(b"\n") + 1]
            self.offset += len(lines)
            for epoch, epochs, scores in EPOCH.findall(lines.decode("utf-8", errors="replace")):
                if found := self.score.search(scores):
                    score = float(found[1])
                    self.best = score if self.best is None else self.choose(self.best, score)
                text = "" if self.best is None else format_score(self.best)
                self.bars.update(self.task, completed=int(epoch), total=int(epochs), score=text)


def outcome(job: Job) -> str:
    """Return how a job ended, in a few words."""
    if job.status in DONE:
        best = job.result["objective"]
        score = f"{best['name']} {format_score(best['value'])} at epoch {best['epoch']} of {job.result['epochs']}"
        return score if job.status == "completed" else f"pruned: {score}"
    error = str(job.result.get("error") or "").strip()
    return f"{job.status}: {error.splitlines()[0][:160]}" if error else job.status
