"""Provenance of a run: command, code version, packages and machine."""

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from trainyard.io.errors import ConfigError

NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}", "-c", "submodule.recurse=false")


def collect_provenance() -> dict[str, Any]:
    """Return the command, commit, uncommitted changes, package versions and hardware, as values for JSON."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "git": read_own_git_state(),
        "python": platform.python_version(),
        "packages": list_packages(),
        "hardware": describe_hardware(),
    }


@cache
def list_packages() -> dict[str, str]:
    """Return the version of each installed package; cached, since they do not change within a process."""
    return dict(sorted((d.metadata["Name"], d.version) for d in distributions()))


@cache
def read_own_git_state() -> dict[str, Any] | None:
    """Return the state of this project's code; cached, since imported code does not change within a process."""
    return read_git_state(Path(__file__).parents[1])


def read_git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit, patch of tracked files and names of untracked files; `None` outside of a checkout."""
    try:
        return {
            "commit": run_git(folder, "rev-parse", "HEAD").strip(),
            "uncommitted_patch": run_git(folder, "diff", "HEAD", "--binary"),
            "untracked": run_git(
                folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/"
            ).splitlines(),
        }
    except ConfigError:
        return None


def run_git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Return the output of a git command; hooks do not run, and GIT_DIR and similar variables are ignored.

    Raises:
        ConfigError: git fails, with the first lines of its message, or is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *NO_HOOKS, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, input=stdin.encode(), env=environment, check=False)
    except OSError as error:
        raise ConfigError(f"git: cannot be run ({error.strerror})") from error
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip().splitlines()[:3]
        raise ConfigError("\n  ".join([f"git {arguments[0]} failed", *message]))
    return done.stdout.decode(errors="replace")


def describe_hardware() -> dict[str, Any]:
    """Return the processor, the instruction set that torch uses, cores, threads and GPUs."""
    import torch

    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }
