"""Errors of a full disk."""

import errno
import shutil
from contextlib import suppress
from pathlib import Path

from trainyard.io.files import MIB

FULL = (errno.ENOSPC, errno.EDQUOT)
TRY_AGAIN = "the same command when there is space again"


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk or a quota is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and (error.errno in FULL or " requested and " in str(error)):  # numpy: no errno
            return True
        error = error.__cause__ or error.__context__
    return False


def describe_full_disk(folder: Path) -> str:
    """Return the text "the disk is full", with the free space."""
    space = ""
    with suppress(OSError):
        existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        space = f" ({shutil.disk_usage(existing).free / MIB:.1f} MiB free)"
    return f"the disk is full{space}"
