"""Checkpoint files: written atomically and in the background, and verified before they are used."""

import errno
import logging
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from trainyard.io.files import MIB, open_regular, relative

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST, DAMAGED = "last.ckpt", "previous.ckpt", "best.ckpt", "damaged.ckpt"
DIRECTORY = 0x10  # attribute of a zip entry
PAUSE = 10.0  # seconds between two writes
WRITE_RATIO = 20  # at least this many times the duration of the last write lies between two writes


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint atomically; an earlier `last.ckpt` is renamed to `previous.ckpt`.

    Raises:
        OSError: it cannot be written, with the reason and the space needed; the earlier file is unchanged.
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
    except (OSError, RuntimeError) as error:  # torch raises a RuntimeError when the disk is full
        failure = write_error(error, checkpoint, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    if failure:  # raised outside of the block: the traceback of torch's error keeps the draft open, and so its space
        raise failure


def write_error(error: OSError | RuntimeError, checkpoint: Mapping[str, Any], path: Path) -> OSError:
    """Return the error that tells the user why a checkpoint cannot be written."""
    needed, free = tensor_bytes(checkpoint), 0
    with suppress(OSError):
        free = shutil.disk_usage(path.parent).free
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or (number is None and free < 2 * needed):
        space = f"{needed / MIB:.1f} MiB are needed and {free / MIB:.1f} MiB free there: free some"
        return OSError(errno.ENOSPC, f"{relative(path)} cannot be written: the disk is full, {space}")
    return OSError(number or errno.EIO, f"{relative(path)} cannot be written ({str(error).splitlines()[0]})")


def tensor_bytes(node: Any) -> int:
    """Return the size of all tensors in nested dicts and lists."""
    if isinstance(node, Tensor):
        return node.nbytes
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return sum(map(tensor_bytes, items))


def is_intact(path: Path) -> bool:
    """Return whether a checkpoint loads as it was written.

    The CRCs of the zip archive cover the contents. torch's reader rejects a damaged directory of the archive, except
    for an entry marked as a folder, which it reads as empty. A flipped bit that none of these detects changes no value.
    A compressed archive is not a checkpoint of ours, and could fill the memory.
    """
    try:
        with open_regular(path, most=None) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if any(entry.external_attr & DIRECTORY or entry.compress_type for entry in entries) or archive.testzip():
                return False
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError:  # the contents match their CRC, so this is someone else's pickle; see `load_model`
        return True
    except Exception:  # a missing or damaged file fails in many ways
        return False
    return True


def newest_intact(folder: Path) -> Path | None:
    """Return `last.ckpt` of a folder, or `previous.ckpt` if the last is damaged; `None` without either."""
    return next((folder / name for name in (LAST, PREVIOUS) if is_intact(folder / name)), None)


def set_damaged_aside(folder: Path) -> None:
    """Rename damaged checkpoints, with a warning, so that they neither are used nor replace an intact one."""
    for path in (folder / name for name in (LAST, PREVIOUS, BEST)):
        if path.exists() and not is_intact(path):
            names = chain([DAMAGED], (f"damaged-{number}.ckpt" for number in count(2)))
            free = next(name for name in names if not (folder / name).exists())
            log.warning("%s is damaged; renamed to %s", relative(path), free)
            path.rename(folder / free)


class PacedCheckpointIO(TorchCheckpointIO):
    """Keeps a copy of the newest checkpoint of each file in memory, and writes them in a thread every few seconds.

    Writing after each short epoch would take longer than the epoch. Pending checkpoints are written at the latest when
    a run ends, fails or is interrupted; a killed run loses the last seconds. If the disk is full, training continues,
    the checkpoints stay pending and the earlier files remain.

    Args:
        pause: minimum number of seconds between two writes; 0 writes at once.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self.last_write = time.monotonic()
        self.write_seconds = 0.0
        self.pending: dict[str, dict[str, Any]] = {}
        self.thread: ThreadPoolExecutor | None = None
        self.writing: Future[None] | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self.last_write >= max(self.pause, WRITE_RATIO * self.write_seconds)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Copy a checkpoint to memory, and start writing all pending ones if it is time."""
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

    def copy(self, value: Any) -> Any:
        """Return a copy of nested dicts, lists and tensors; ten times faster than Lightning's `apply_to_collection`."""
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
        """Write all pending checkpoints before returning.

        Raises:
            OSError: one cannot be written; it stays pending.
        """
        self.wait()
        files, self.pending = self.pending, {}
        self.write_files(files, retry=False)

    def wait(self) -> None:
        """Wait until the thread has written."""
        if self.writing is not None:
            self.writing.result()
            self.writing = None

    def write_files(self, files: dict[str, dict[str, Any]], retry: bool = True) -> None:
        """Write files; after an error the rest stays pending, and with `retry` only a warning is logged."""
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
        """Load a checkpoint; a pending one is written first."""
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
        """Write all pending checkpoints, and later ones at once: a spawned process saves its weights after this."""
        self.flush()
        self.pause = 0.0
        if self.thread is not None:
            self.thread.shutdown()
            self.thread = None
