"""The memory of this process, and the disk space of a folder."""

import re
from contextlib import suppress
from pathlib import Path


def peak() -> int:
    """Return the largest resident memory that this process had, in bytes; 0 where the system does not report it."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
            return int(found[1]) * 1024
    return 0


def bytes_on_disk(folder: Path, but: str = "") -> int:
    """Return the size of all files in a folder, without those of the folder `but` in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != but)
    return sum(path.stat().st_size for path in files)
