"""Disk space and memory of this machine."""

import errno
import re
import shutil
from contextlib import suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
TRY_AGAIN = "the same command after freeing disk space"


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, means that a disk or a quota is full."""
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        if isinstance(error, OSError) and (error.errno in FULL or " requested and " in str(error)):  # numpy: no errno
            return True
        error = error.__cause__ or error.__context__
    return False


def describe_full_disk(folder: Path) -> str:
    """Return the text "the disk is full", with the free space."""
    space = ""
    with suppress(OSError):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        space = f" ({shutil.disk_usage(existing).free / 2**20:.1f} MiB free)"
    return f"the disk is full{space}"


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes; 0 if the system does not report it."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) * 1024
    return 0
