"""Who works on a sweep."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from trainyard.errors import ConfigError, reject
from trainyard.files import write_text
from trainyard.run_ending import is_disk_full

LOCK, HOLDER = ".lock", "holder"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work on a sweep's directory alone.

    Raises:
        ConfigError: another process does, and the message says which; or it cannot be written.
    """
    lock, made = FileLock(folder / LOCK), not (folder / LOCK).exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        holder = "another process"  # while it starts or ends
        with suppress(OSError):
            holder = f"process {(folder / HOLDER).read_text(encoding='utf-8').strip()}"
        accepted = "wait for it, or another sweep.name"
        raise ConfigError(f"sweep.name={folder.name}: {holder} works on it\n  accepted: {accepted}") from error
    except OSError as error:
        if is_disk_full(error):
            raise
        accepted = "a folder that you may write to"
        raise reject("hydra.sweep.dir", folder, f"cannot be written ({error.strerror})", accepted) from error
    try:
        write_text(folder / HOLDER, f"{os.getpid()}\n")
        yield
    except ConfigError:  # it does not begin: the folder is as it was
        if made:
            (folder / LOCK).unlink(missing_ok=True)
        raise
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()
