"""Provenance of a run: command, code version, packages and machine."""

import hashlib
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import distributions
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from trainyard.io.errors import ConfigError

INSTALLED = {Path(sysconfig.get_paths()[name]) for name in ("purelib", "platlib", "stdlib")}
MAX_FILES = 10_000  # of a package
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
    parsed = (distribution.metadata for distribution in distributions())  # `version` would parse it again
    return dict(sorted((metadata["Name"], metadata["Version"]) for metadata in parsed))


@cache
def read_own_git_state() -> dict[str, Any] | None:
    """Return the state of this project's code; cached, since imported code does not change within a process."""
    return read_git_state(Path(__file__).parents[1])


def describe_user_code(packages: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return path, digest and commit of the user's packages or modules by name, without installed ones."""
    described = {}
    for name in packages:
        path = find_package(name)
        if path is not None and not any(path.is_relative_to(folder) for folder in INSTALLED):
            described[name] = {"path": str(path), "digest": digest_code(path), **describe_commit(path)}
    return described


def find_package(name: str) -> Path | None:
    """Return the folder of a top-level package, or the file of a module, without importing it.

    `None` if it is missing, or part of the interpreter, such as `builtins`.
    """
    with suppress(ImportError, ValueError, AttributeError):
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))).absolute()
        if spec is not None and spec.origin and spec.has_location:
            return Path(spec.origin).absolute()
    return None


def digest_code(path: Path) -> str:
    """Return a digest of a Python file, or of the names and contents of all Python files in a folder."""
    digest = hashlib.sha256()
    for file in islice(python_files(path), MAX_FILES) if path.is_dir() else [path]:
        digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files in a folder, in a fixed order."""
    for path, names, files in os.walk(folder):
        names.sort()
        yield from (file for name in sorted(files) if name.endswith(".py") and (file := Path(path) / name).is_file())


def describe_commit(path: Path) -> dict[str, Any]:
    """Return the commit of a folder or file, and whether it has uncommitted changes; empty outside of a repository."""
    folder = path if path.is_dir() else path.parent
    try:
        changes = run_git(folder, "status", "--porcelain", "--", str(path))
        return {"commit": run_git(folder, "rev-parse", "HEAD").strip(), "uncommitted": bool(changes)}
    except ConfigError:
        return {}


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
