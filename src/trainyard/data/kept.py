"""Folders of the disk cache: made once, by one process, whole or not at all."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")


@contextmanager
def held(folder: Path, lock: str, consequence: str) -> Iterator[Path]:
    """Give a folder of the cache to this process alone; others that ask with the same lock wait.

    Where it cannot be written, the log says so, with the consequence, and a temporary folder takes its place.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.callback(waited_for(folder / lock).release)
        except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
            log.warning("%s cannot be written (%s): %s", folder, why(error), consequence)
            folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        yield folder


def waited_for(path: Path) -> FileLock:
    """Return a lock that this process has, once another has let go of it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        log.info("waiting for another run that fills %s", path.parent)
        lock.acquire()
    return lock


def kept(entry: Path, fill: Callable[[Path], None], load: Callable[[Path], Kept]) -> Kept:
    """Return what `load` finds in a folder of the cache; `fill` makes it first, where it is not there or damaged.

    To be called by one process at a time (see `held`).

    Args:
        entry: the folder.
        fill: called with an empty folder that becomes the entry when all went well.
        load: called with the entry; raises OSError, ValueError or EOFError where a crash of the machine cut its files.

    Raises:
        OSError: the disk is full.
    """
    with suppress(OSError, ValueError, EOFError):
        return load(entry)
    draft = entry.with_suffix(".draft")
    for broken in (entry, draft):  # left by a crash: the lock lets nobody else write
        shutil.rmtree(broken, ignore_errors=True)
    draft.mkdir()
    try:
        fill(draft)
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load(entry)


def why(error: Exception) -> str:
    """Return the reason that an error gives, without the path."""
    return getattr(error, "strerror", None) or str(error)
