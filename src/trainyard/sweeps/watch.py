"""What a person sees of a sweep while it runs."""

import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from trainyard.sweeps.job import Job
from trainyard.sweeps.processes import Ended

EPOCH = re.compile(r"epoch (\d+)/(\d+)(.*)")
TAIL = 2000  # bytes of a log that are looked at


class Watch:
    """Tells of each job when it starts and when it ends; on a terminal, where the running ones stand, too.

    Args:
        jobs: those that run, in the order of their start.
        total: of the sweep, with those that are done already.
        axes: keys that vary.
        fail_fast: whether the first failure ends the sweep.
        began, ended: called with a job when it starts, and when it ended and its directory tells how.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        total: int,
        axes: Sequence[str],
        began: Callable[[Job], None],
        ended: Callable[[Job, str], None],
        fail_fast: bool = False,
    ) -> None:
        self.jobs = jobs
        self.done = total - len(jobs)
        self.total = total
        self.axes = axes
        self.began, self.finished = began, ended
        self.fail_fast = fail_fast
        self.started = {-1: time.monotonic()}
        self.running: list[int] = []
        self.drawn = 0

    def begin(self, position: int) -> None:
        """Take note that a job starts."""
        self.began(self.jobs[position])
        self.started[position] = time.monotonic()
        self.running.append(position)
        self.look()

    def end(self, ended: Ended) -> bool:
        """Say how a job ended, in a line; return whether the sweep is to stop because of it."""
        job = self.jobs[ended.number]
        self.finished(job, ended.error)
        self.running.remove(ended.number)
        self.done += 1
        self.erase()
        seconds = time.monotonic() - self.started[ended.number]
        print(f"[{self.done}/{self.total}] #{job.number} {job.varying(self.axes)}  {outcome(job)}  {seconds:.1f} s")
        self.look()
        return self.fail_fast and job.status == "failed"

    def look(self) -> None:
        """Draw where the running jobs stand, over what was drawn before; nothing where no terminal is."""
        if not sys.stdout.isatty():
            return
        self.erase()
        lines = [
            f"  #{self.jobs[p].number} {self.jobs[p].varying(self.axes)}  {progress(self.jobs[p])}"
            for p in self.running
        ]
        lines.append(f"  {self.done} of {self.total} done, {self.remaining()}")
        print("\n".join(lines), flush=True)
        self.drawn = len(lines)

    def erase(self) -> None:
        """Take away what was drawn."""
        if self.drawn:
            print(f"\x1b[{self.drawn}A\x1b[J", end="", flush=True)
        self.drawn = 0

    def remaining(self) -> str:
        """Return the time that the rest will take, by those that are done."""
        here = self.done - (self.total - len(self.jobs))
        if not here:
            return "the first are under way"
        seconds = (time.monotonic() - self.started[-1]) / here * (self.total - self.done)
        return f"about {seconds / 60:.0f} min to go" if seconds > 90 else f"about {seconds:.0f} s to go"


def outcome(job: Job) -> str:
    """Return how a job ended, in a few words."""
    if job.status == "completed":
        best = job.result["objective"]
        return f"{best['name']} {best['value']:.4f} at epoch {best['epoch']} of {job.result['epochs']}"
    return (
        f"{job.status}: {str(job.result.get('error') or '').splitlines()[0][:160]}"
        if job.result.get("error")
        else job.status
    )


def progress(job: Job) -> str:
    """Return the epoch that a job is in, and its scores, by the end of its log."""
    with suppress(OSError):
        text = tail(job.folder / "run.log")
        if found := list(EPOCH.finditer(text)):
            epoch, epochs, scores = found[-1].groups()
            return f"epoch {epoch}/{epochs}{scores}"
    return "starting"


def tail(file: Path) -> str:
    """Return the end of a file."""
    with file.open("rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - TAIL))
        return stream.read().decode("utf-8", errors="replace")
