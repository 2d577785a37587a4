"""Checkpoint files: written atomically and in the background, and verified before they are used."""

import errno
import logging
import os
import pickle
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from shutil import disk_usage
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from trainyard.callbacks.plain_values import remove_unreadable
from trainyard.io.files import MIB, open_regular, relative
from trainyard.io.resources import describe_full_disk, is_disk_full

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST, DAMAGED = "last.ckpt", "previous.ckpt", "best.ckpt", "damaged.ckpt"
DIRECTORY = 0x10  # attribute of an entry of a zip archive
PAUSE = 10.0  # seconds between two writes
WRITE_RATIO = 20  # minimum time between two writes, as a multiple of the duration of the last write


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; an earlier `last.ckpt` is renamed to `previous.ckpt`.

    Raises:
        OSError: with the reason; the earlier file is unchanged.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    failure: OSError | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, draft)
        with draft.open("r+b") as file:
            os.fsync(file.fileno())
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        draft.replace(path)
    except (OSError, RuntimeError) as error:
        # torch raises a RuntimeError on a full disk, which the unfinished draft has filled at this point
        full = is_disk_full(error) or (isinstance(error, RuntimeError) and disk_usage(path.parent).free < MIB)
        reason = describe_full_disk(path.parent) if full else str(error).splitlines()[0]
        number = errno.ENOSPC if full else getattr(error, "errno", None) or errno.EIO
        failure = OSError(number, f"{relative(path)} cannot be written: {reason}")
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    if failure:  # raised here: inside the block, the traceback of torch's error would keep the draft open
        raise failure


def is_intact(path: Path) -> bool:
    """Return whether a checkpoint is undamaged: no flipped bit that changes a value remains undetected.

    The CRCs of the zip archive cover the contents. torch's reader rejects a damaged directory of the archive, except
    for an entry marked as a folder, which it reads as empty. Our archives are never compressed, and a compressed one
    from elsewhere could fill the memory.
    """
    try:
        with open_regular(path, max_bytes=None) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.external_attr & DIRECTORY or entry.compress_type for entry in entries) or archive.testzip():
                return False
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError:  # undamaged, but not plain: `load_model` rejects it with an explanation
        return True
    except Exception:  # damaged files raise many types
        return False
    return True


def newest_intact(folder: Path) -> Path | None:
    """Return `last.ckpt` of a folder, or `previous.ckpt` if that is damaged; `None` without either."""
    return next((folder / name for name in (LAST, PREVIOUS) if is_intact(folder / name)), None)


def set_damaged_aside(folder: Path) -> None:
    """Rename damaged checkpoints, with a warning, so that they are not used and do not replace an intact one."""
    for path in (folder / name for name in (LAST, PREVIOUS, BEST)):
        if path.exists() and not is_intact(path):
            names = chain([DAMAGED], (f"damaged-{number}.ckpt" for number in count(2)))
            free = next(name for name in names if not (folder / name).exists())
            log.warning("%s is damaged; renamed to %s", relative(path), free)
            path.rename(folder / free)


class PacedCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints in a thread every few seconds; until then, the newest version of each file is in memory.

    Writing after each short epoch would take longer than the epoch. Pending checkpoints are written when a run ends,
    fails or is interrupted; a killed run loses the last seconds. If the disk is full, training continues, the
    checkpoints stay pending and the earlier files remain.

    Args:
        pause: minimum number of seconds between two writes; 0 writes immediately.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self.last_write = time.monotonic()
        self.write_seconds = 0.0
        self.pending: dict[str, dict[str, Any]] = {}
        self.removed: set[str] = set()  # entries without which checkpoints are saved
        self.thread: ThreadPoolExecutor | None = None
        self.writing: Future[None] | None = None

    @property
    def due(self) -> bool:
        """Whether to write with the next checkpoint."""
        return time.monotonic() - self.last_write >= max(self.pause, WRITE_RATIO * self.write_seconds)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Copy a checkpoint to memory; if writing is due, start to write all pending ones."""
        self.report_removed(remove_unreadable(checkpoint))
        if self.pause == 0:
            self.pending[str(path)] = checkpoint
            self.flush()
            return
        self.pending[str(path)] = self.copy(checkpoint)
        if self.due:
            self.wait()
            self.thread = self.thread or ThreadPoolExecutor(1)
            files, self.pending = self.pending, {}
            self.writing = self.thread.submit(self.write_files, files)

    def report_removed(self, names: list[str]) -> None:
        """Log once that entries are missing in checkpoints, at the first save instead of when a run is resumed."""
        for name in set(names) - self.removed:
            needed = name in ("optimizer_states", "lr_schedulers", "loops")
            consequence = "the run cannot be resumed" if needed else "a resumed run starts without it"
            log.warning("checkpoints do not contain %s, which is not made of plain values: %s", name, consequence)
        self.removed.update(names)

    def copy(self, value: Any) -> Any:
        """Copy nested dicts, lists and tensors, ten times faster than Lightning's `apply_to_collection`."""
        if isinstance(value, Tensor):
            return self.copy_tensor(value)
        if isinstance(value, dict):
            return type(value)((key, self.copy(item)) for key, item in value.items())
        if type(value) in (list, tuple):
            return type(value)(map(self.copy, value))
        return value

    def copy_tensor(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor in CPU memory."""
        return tensor.detach().to("cpu", copy=True)

    def flush(self) -> None:
        """Write all pending checkpoints; if an OSError is raised, the remaining ones stay pending."""
        self.wait()
        files, self.pending = self.pending, {}
        self.write_files(files, retry=False)

    def wait(self) -> None:
        """Wait until the thread has finished writing."""
        if self.writing is not None:
            self.writing.result()
            self.writing = None

    def write_files(self, files: dict[str, dict[str, Any]], retry: bool = True) -> None:
        """Write files; after an error the remaining ones stay pending. With `retry`, the error is only logged."""
        start = time.monotonic()
        for path in sorted(files):  # best before last, in case the process is killed between the two
            try:
                write_checkpoint(files[path], Path(path))
                del files[path]
            except OSError as error:
                self.pending = {**files, **self.pending}
                if not retry:
                    raise
                log.warning("%s; trying again in %.0f s", error, self.pause)
                break
        self.last_write = time.monotonic()
        self.write_seconds = self.last_write - start

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Load a checkpoint; pending ones are written first."""
        self.wait()
        if str(path) in self.pending:
            self.flush()
        return super().load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, written or pending."""
        self.wait()
        self.pending.pop(str(path), None)
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Write all pending checkpoints, and later ones immediately: a spawned process saves its weights after this."""
        self.flush()
        self.pause = 0.0
        if self.thread is not None:
            self.thread.shutdown()
            self.thread = None
