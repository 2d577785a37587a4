"""Disk space, memory and cores of this machine."""

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
TRY_AGAIN = "the same command after freeing disk space"
CORES = "TRAINYARD_CORES"  # environment variable: cores of a slot of a sweep
CGROUPS = Path("/sys/fs/cgroup")
QUOTAS = ("cpu.max", "cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us")  # files of cgroups v2 and v1: quota and period


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


def available_cores() -> int:
    """Return the number of cores that this process may use: limited by affinity, container and the slot of a sweep."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    for files in QUOTAS:
        with suppress(OSError, ValueError):  # other systems, and the quota "max"
            texts = [(CGROUPS / name).read_text(encoding="ascii") for name in files.split()]
            quota, period = map(float, " ".join(texts).split())
            count = min(count, quota / period) if quota > 0 else count
    share = os.environ.get(CORES, "")
    return max(1, int(min(count, int(share) if share.isdecimal() else count)))
