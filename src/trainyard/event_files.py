"""TensorBoard's files of a run, which outlive a folder that is removed and a clock that is set."""

import logging
import os
import socket
import time
from io import BytesIO
from pathlib import Path

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.writer import FileWriter, SummaryWriter

log = logging.getLogger(__name__)

VERSION = "brain.Event:2"
PREFIX = "events.out.tfevents."
MOST_WAITING = 1 << 20  # bytes
EPOCH = time.time() - time.monotonic()  # when the clock that nobody sets stood at 0, in seconds since 1970


class EventFiles(TensorBoardLogger):
    """Lightning's TensorBoard logger, whose log may be lost without the run. Arguments as in Lightning's."""

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """What writes; made at the first call."""
        if self._experiment is None:
            self._experiment = EventWriter(self.log_dir, **self._kwargs)
        return self._experiment


class EventWriter(SummaryWriter):
    """Torch's writer, over one file that is written anew where it was removed."""

    file_writer: "EventFile | None"  # type: ignore[assignment]  # torch does not say
    all_writers: "dict[str, EventFile] | None"  # type: ignore[assignment]

    def _get_file_writer(self) -> "EventFile":
        if self.file_writer is None:
            self.file_writer = EventFile(Path(self.log_dir), self.flush_secs)
            self.all_writers = {self.log_dir: self.file_writer}
        return self.file_writer


class EventFile(FileWriter):
    """A file of events; between two of them lies the time that has passed, whatever the clock does.

    Where it is removed, or cannot be written, the log says so once, and another is begun as soon as it can be.

    Args:
        folder: where it lies; made where the one above it is there.
        flush_secs: between two moments when all is on the disk; until then it waits in memory.
    """

    def __init__(self, folder: Path, flush_secs: float) -> None:
        self.folder = folder
        self.flush_secs = flush_secs
        self.flushed = time.monotonic()
        self.path: Path | None = None
        self.waiting = BytesIO()
        self.lost = False
        folder.parent.mkdir(parents=True, exist_ok=True)

    def get_logdir(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def add_event(self, event: Event, step: int | None = None, walltime: float | None = None) -> None:
        """Write an event."""
        event.wall_time = EPOCH + time.monotonic() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        RecordWriter(self.waiting).write(event.SerializeToString())
        if time.monotonic() - self.flushed > self.flush_secs or self.waiting.tell() > MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Have all on the disk."""
        self.flushed = time.monotonic()
        events = self.waiting.getvalue()
        self.waiting = BytesIO()
        try:
            if events:
                self.append(events)
        except OSError as error:
            self.lose(str(error.strerror))

    def append(self, events: bytes) -> None:
        """Write events to the end of the file; to the beginning of another where it is gone."""
        if self.path is not None and not self.path.exists():
            self.lose("removed")
        if self.path is None:
            self.folder.mkdir(exist_ok=True)
            start = BytesIO()
            when = EPOCH + time.monotonic()
            RecordWriter(start).write(Event(wall_time=when, file_version=VERSION).SerializeToString())
            self.path, events = self.folder / new_name(self.folder), start.getvalue() + events
        with self.path.open("ab") as file:
            file.write(events)

    def lose(self, reason: str) -> None:
        """Say that the file is lost, once; half of an event may stand at its end, so the next goes into another."""
        if not self.lost:
            log.warning("TensorBoard loses the run so far (%s: %s); training goes on", reason, self.folder)
        self.lost, self.path = True, None

    def close(self) -> None:
        """Flush; no file is open."""
        self.flush()

    def reopen(self) -> None:
        """Nothing: the next event is written like any other."""


def new_name(folder: Path) -> str:
    """Return a name that sorts after those of all event files in a folder.

    TensorBoard reads files in the order of their names, which begin with the second when they were made. A run that is
    resumed within that second, or after the clock was set back, must still be read last.
    """
    seconds = [path.name.removeprefix(PREFIX).partition(".")[0] for path in folder.glob(f"{PREFIX}*")]
    latest = max((int(second) for second in seconds if second.isdecimal()), default=0)
    when = max(int(EPOCH + time.monotonic()), latest + 1)
    return f"{PREFIX}{when:010}.{socket.gethostname()}.{os.getpid()}"


def purge_events(folder: Path, step: int) -> None:
    """Have TensorBoard drop what was written from an optimizer step on, since a resumed run writes it again.

    Args:
        folder: of the run; every folder in it that holds event files gets another.
        step: the first that is dropped.
    """
    for place in {path.parent for path in folder.rglob(f"{PREFIX}*")}:
        file = EventFile(place, flush_secs=0.0)
        file.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        file.flush()
