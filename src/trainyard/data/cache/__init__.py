"""Disk caches: entries are complete or absent, and written by one process at a time."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")
DAMAGED = (OSError, ValueError, EOFError)  # raised when a file is missing, or truncated by a crash of the machine


@contextmanager
def lock_cache(folder: Path, lock: str, consequence: str) -> Iterator[Path]:
    """Lock a cache folder for this process, waiting for others that hold the same lock.

    If the folder cannot be written, log that with the consequence and yield a temporary folder instead.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file_lock = FileLock(folder / lock)
            try:
                file_lock.acquire(timeout=0.5)
            except Timeout:
                log.info("waiting for another run that fills %s", folder)
                file_lock.acquire()
            stack.callback(file_lock.release)
        except (OSError, NotImplementedError) as error:  # the latter on file systems without locks
            log.warning("%s cannot be written (%s): %s", folder, error_reason(error), consequence)
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        yield folder


def load_or_create(entry: Path, create: Callable[[Path], None], load: Callable[[Path], Entry]) -> Entry:
    """Load a folder of the cache; if `load` raises one of `DAMAGED`, have `create` fill an empty one first.

    The caller holds the lock. Raises an OSError if the disk is full.
    """
    with suppress(*DAMAGED):
        return load(entry)
    draft = entry.with_suffix(".draft")
    for leftover in (entry, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir()
    try:
        create(draft)
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load(entry)


def cached_array(
    file: Path, compute: Callable[[], NDArray[Any]], valid: Callable[[NDArray[Any]], bool] = lambda array: True
) -> NDArray[Any]:
    """Return the array of an `.npy` file; compute it if it is missing or damaged, and write it if it is valid."""
    with suppress(*DAMAGED):
        return np.load(file)  # type: ignore[no-any-return]
    array = compute()
    if valid(array):
        draft = file.with_suffix(".draft.npy")
        np.save(draft, array)
        draft.rename(file)
    return array


def error_reason(error: Exception) -> str:
    """Return the reason that an error gives, without the path."""
    return getattr(error, "strerror", None) or str(error)
