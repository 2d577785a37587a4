"""The directory of a run: who works in it, what an earlier run left there, and what a new one writes first."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from trainyard.errors import reject
from trainyard.files import write_json, write_text
from trainyard.provenance import provenance

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
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return str(result.get("status")) if isinstance(result, dict) else None


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write what a run starts from: its config, what was typed, and where it comes from."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(cfg.run.overrides))
    write_json(folder / "provenance.json", provenance())


def clear(folder: Path) -> None:
    """Remove what an earlier run left; what else lies there stays."""
    for name in ("checkpoints", "tensorboard", "predictions"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for file in (folder / "result.json", folder / "metrics.csv", *folder.glob("*-profile*.txt")):
        file.unlink(missing_ok=True)
