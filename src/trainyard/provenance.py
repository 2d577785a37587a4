"""Where a run comes from: code, packages and machine."""

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch


def provenance() -> dict[str, Any]:
    """Return the command, commit, uncommitted changes, package versions and hardware, as JSON can hold them."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "git": own_git_state(),
        "python": platform.python_version(),
        "packages": packages(),
        "hardware": hardware(),
    }


@cache
def packages() -> dict[str, str]:
    """Return the version of each installed package; they stay while a process lives."""
    return dict(sorted((d.metadata["Name"], d.version) for d in distributions()))


@cache
def own_git_state() -> dict[str, Any] | None:
    """Return the state of this project's code; what a process has imported stays as it was."""
    return git_state(Path(__file__).parent)


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit, patch of tracked files and names of untracked ones; `None` where the code is not in a checkout."""
    commit = git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {
        "commit": commit.strip(),
        "uncommitted_patch": git(folder, "diff", "HEAD", "--binary") or "",
        "untracked": (
            git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/") or ""
        ).splitlines(),
    }


def git(folder: Path, *arguments: str) -> str | None:
    """Return what a git command prints, or `None` when it fails or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", errors="replace")


def hardware() -> dict[str, Any]:
    """Return the processor, the instructions that torch uses of it, its cores and the GPUs."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }
