"""Who works on a sweep."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainyard.errors import ConfigError, reject
from trainyard.files import check_own_files, check_path, read_text, write_text
from trainyard.own_directory import check_not_current
from trainyard.run_directory import LOCK, lock
from trainyard.run_ending import is_disk_full

HOLDER = "holder"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Work on a sweep's directory alone.

    Raises:
        ConfigError: another process does, and the message says which; or it cannot be written.
    """
    check_path("hydra.sweep.dir", str(folder))
    check_not_current("hydra.sweep.dir", folder, "a folder that is new, empty, or of this sweep")
    if folder.is_dir():
        check_own_files("hydra.sweep.dir", folder)
    made = not (folder / LOCK).exists()
    holder = "another process"  # while it starts or ends
    with suppress(OSError):
        holder = f"process {read_text(folder / HOLDER).strip()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        accepted = "wait for it, or another sweep.name"
        lock_file = lock(folder, reject("sweep.name", folder.name, f"{holder} works on it", accepted))
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
        if lock_file is not None:
            lock_file.release()
