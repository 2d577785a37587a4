"""The directory of a run: who works in it, what an earlier run left there, and what a new one writes first."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from trainyard.errors import listing, reject
from trainyard.files import point_to, read_json, remove_stale_drafts, write_json, write_text

FOLDERS = ("checkpoints", "tensorboard", "predictions")
PROFILES = ("fit-profile.txt", "test-profile.txt")
FILES = ("config.yaml", "overrides.yaml", "provenance.json", "result.json", "metrics.csv", *PROFILES)
LOG = "run.log"
REPLACED = ".replaced"  # holds the files of an earlier run until the run that replaces it is complete
LOCK = ".lock"
BROUGHT = {".hydra", LOCK}  # what lies in a directory before a run has begun there


def lock(folder: Path) -> FileLock | None:
    """Take a directory for this process; the system gives it back however the process ends.

    Returns:
        What is to be released; `None` where the file system has no locks.

    Raises:
        ConfigError: another process trains there.
    """
    taken = FileLock(folder / LOCK)
    try:
        taken.acquire(timeout=0)
    except Timeout as error:
        problem = "another process trains there"
        raise reject("hydra.run.dir", folder, problem, "another directory, or wait until it has ended") from error
    except NotImplementedError:
        return None
    return taken


def status(folder: Path) -> str | None:
    """Return how a run ended by its result; `None` where it has none."""
    result: Any = None
    with suppress(OSError, ValueError):
        result = read_json(folder / "result.json")
    return str(result.get("status")) if isinstance(result, dict) else None


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write what a run starts from: its config, what was typed, and where it comes from."""
    from trainyard.provenance import provenance  # which imports torch

    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(cfg.run.overrides))
    write_json(folder / "provenance.json", provenance())


def point_to_latest(folder: Path) -> None:
    """Have `outputs/latest` point to a run in `outputs/runs`, or of a sweep in `outputs/sweeps`, which starts now."""
    parents = folder.absolute().parents
    root = parents[1] if parents[0].name == "runs" else parents[2] if parents[1].name == "sweeps" else None
    if root is not None:
        remove_stale_drafts(root, depth=0)
        point_to(root / "latest", folder.absolute())


def move_aside(folder: Path) -> Path | None:
    """Move the files of an earlier run into a new subfolder, and return it; other files stay.

    Returns:
        The subfolder, which `remove_replaced` removes; `None` where there is nothing to move.
    """
    there = [folder / name for name in (*FOLDERS, *FILES) if (folder / name).exists()]
    if not there:
        return None
    aside = next(path for number in count(1) if not (path := folder / REPLACED / str(number)).exists())
    aside.mkdir(parents=True)
    for path in there:
        path.rename(aside / path.name)
    return aside


def remove_replaced(folder: Path) -> None:
    """Remove the files of the runs that a complete run has replaced."""
    shutil.rmtree(folder / REPLACED, ignore_errors=True)


def misplaced(folder: Path) -> Iterator[str]:
    """Yield the names at which a directory holds a folder where a run has a file, or a file where it has a folder."""
    yield from (name for name in (*FILES, LOG, LOCK) if (folder / name).is_dir())
    yield from (name for name in FOLDERS if (folder / name).exists() and not (folder / name).is_dir())


def check_places(folder: Path) -> None:
    """Raise a ConfigError where a run could not write one of its files or folders."""
    for name in misplaced(folder):
        kind = "a folder, but must be a file" if (folder / name).is_dir() else "a file, but must be a folder"
        raise reject("hydra.run.dir", folder, f"{name} is {kind}", "the directory without it, or another directory")


def check_resumable(folder: Path) -> None:
    """Raise a ConfigError where resuming a run would replace its results: it has some, but no intact checkpoint.

    A run that was interrupted, or failed, before it wrote its first `last.ckpt` can start again from step 0.
    """
    from trainyard.checkpoint_files import LAST, PREVIOUS, newest_intact  # which imports torch

    checkpoints = folder / "checkpoints"
    if newest_intact(checkpoints) is not None:
        return
    left = [name for name in (LAST, PREVIOUS) if (checkpoints / name).exists()]
    ended = (folder / "result.json").exists() and status(folder) not in ("interrupted", "failed")
    if left or ended:
        state = f"{listing(left)} is damaged" if left else f"there is no {LAST}"
        problem = f"{state} in {checkpoints}, so it cannot be resumed; nothing was changed"
        raise reject("resume", folder, problem, "a run with an intact last.ckpt or previous.ckpt, or a new run")
