"""Checkpoints that reach the disk every few seconds, however short the epochs are, while training goes on."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from trainyard.checkpoints.files import write_checkpoint

log = logging.getLogger(__name__)

PAUSE = 10.0  # seconds
PATIENCE = 20  # times as long as the last writing took, which slows training down a little


class PacedCheckpointIO(TorchCheckpointIO):
    """Keeps a copy of the newest checkpoint of each file in memory, and has a thread write them now and then.

    A short epoch takes less time than its checkpoints, above all with a large frozen backbone in them. What waits is
    written at the latest when a run ends, fails or is interrupted; a killed run loses the last seconds. Where the disk
    is full, training goes on, what could not be written waits, and the files of before stay.

    Args:
        pause: seconds between two writings, at least.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self.written = time.monotonic()
        self.took = 0.0
        self.waiting: dict[str, dict[str, Any]] = {}
        self.thread: ThreadPoolExecutor | None = None
        self.writing: Future[None] | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self.written >= max(self.pause, PATIENCE * self.took)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Keep a copy, and begin to write all that wait when it is time; with a pause of 0, write it now."""
        if self.pause == 0:
            self.waiting[str(path)] = checkpoint
            self.write()
            return
        self.waiting[str(path)] = deep_copied(checkpoint, self.copied)
        if self.due:
            self.finish()
            self.thread = self.thread or ThreadPoolExecutor(1)
            files, self.waiting = self.waiting, {}
            self.writing = self.thread.submit(self.write_files, files)

    def copied(self, tensor: Tensor) -> Tensor:
        """Return a tensor as it is now, in the memory of the CPU."""
        return tensor.detach().to("cpu", copy=True)

    def write(self) -> None:
        """Write what waits, and wait for it.

        Raises:
            OSError: it cannot be written; it waits on.
        """
        self.finish()
        files, self.waiting = self.waiting, {}
        self.write_files(files, again=False)

    def finish(self) -> None:
        """Wait for what is being written."""
        if self.writing is not None:
            self.writing.result()
            self.writing = None

    def write_files(self, files: dict[str, dict[str, Any]], again: bool = True) -> None:
        """Write files; those that cannot be wait on, unless a newer one does, and training is not to know."""
        began = time.monotonic()
        for path in sorted(files):  # best before last: it may stop between
            try:
                write_checkpoint(files[path], Path(path))
                del files[path]
            except OSError as error:
                self.waiting = {**files, **self.waiting}
                if not again:
                    raise
                log.warning("%s; trying again in %.0f s", error, self.pause)
                break
        self.written = time.monotonic()
        self.took = self.written - began

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return what a file holds; one that waits is written first."""
        self.finish()
        if str(path) in self.waiting:
            self.write()
        return super().load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, be it written or waiting."""
        self.finish()
        self.waiting.pop(str(path), None)
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Write what waits, and all that is saved later at once; Lightning calls this at the end, whatever it was."""
        self.write()
        self.pause = 0.0  # a spawned process hands its weights back after this
        if self.thread is not None:
            self.thread.shutdown()
            self.thread = None


def deep_copied(value: Any, copied: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of nested dicts, lists and tuples and their tensors; Lightning's takes ten times as long."""
    if isinstance(value, Tensor):
        return copied(value)
    if isinstance(value, dict):
        return type(value)((key, deep_copied(item, copied)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(deep_copied(item, copied) for item in value)
    return value
