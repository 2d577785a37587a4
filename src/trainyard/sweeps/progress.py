"""How far a job is that runs."""

import re
import time
from contextlib import suppress

from trainyard.config import objective_mode
from trainyard.files import open_regular
from trainyard.sweeps.job import Job

EPOCH = re.compile(r": epoch (\d+)/(\d+)(.*)")


class JobProgress:
    """What the log of a running job tells of it.

    Attributes:
        epoch, epochs: the last one that is done, and how many there will be; 0 before the first line.
        best: the best score so far, of an earlier start too.

    Args:
        job: that has just been started.
        objective: the metric that chooses.
    """

    def __init__(self, job: Job, objective: str) -> None:
        self.file = job.folder / "run.log"
        self.score = re.compile(rf"{re.escape(objective)} (\S+)")
        self.choose = max if objective_mode(objective) == "max" else min
        self.epoch = self.epochs = self.read = 0
        self.best: float | None = None
        self.look()
        self.started, self.start_epoch = time.monotonic(), self.epoch

    def look(self) -> None:
        """Read the lines that have been added."""
        with suppress(OSError), open_regular(self.file, most=None) as log:
            log.seek(self.read)
            added = log.read()
            lines = added[: added.rfind(b"\n") + 1]
            self.read += len(lines)
            for epoch, epochs, scores in EPOCH.findall(lines.decode("utf-8", errors="replace")):
                self.epoch, self.epochs = int(epoch), int(epochs)
                if found := self.score.search(scores):
                    score = float(found[1])
                    self.best = score if self.best is None else self.choose(self.best, score)

    @property
    def seconds(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float | None:
        """Seconds that it will still take, at its pace so far; `None` before its first epoch is done."""
        done = self.epoch - self.start_epoch
        return self.seconds / done * (self.epochs - self.epoch) if done > 0 else None
