"""The files of a run's directory: names, lock, config and result."""

import math
import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from trainyard.config.target_packages import user_packages
from trainyard.io.errors import ConfigError
from trainyard.io.files import (
    MAX_CONFIG,
    load_yaml,
    point_to,
    read_json,
    read_text,
    remove_stale_drafts,
    write_json,
    write_text,
)
from trainyard.run.provenance import collect_provenance, describe_user_code

RESULT = "result.json"
FOLDERS = ("checkpoints", "tensorboard", "predictions")
PROFILES = ("fit-profile.txt", "test-profile.txt")
FILES = ("config.yaml", "overrides.yaml", "provenance.json", RESULT, "metrics.csv", *PROFILES)
LOG = "run.log"
REPLACED = ".replaced"  # the files of an earlier run, until the run that replaces it is complete
LOCK = ".lock"
MADE_BEFORE = {".hydra", LOCK}  # exist in a directory before its first run writes to it
DONE = ("completed", "pruned")
STATUSES = (*DONE, "failed", "interrupted")


def lock(folder: Path, error: ConfigError) -> FileLock | None:
    """Lock a directory for this process; `None` if the file system has no locks.

    The operating system releases the lock when the process ends.

    Raises:
        ConfigError: `error`, if another process has locked it.
    """
    lock_file = FileLock(folder / LOCK)
    try:
        lock_file.acquire(timeout=0)
    except Timeout as timeout:
        raise error from timeout
    except NotImplementedError:
        return None
    return lock_file


def read_result(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's `result.json`; empty if the file is missing, damaged or incomplete."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        result: dict[str, Any] = read_json(folder / RESULT)
        if is_complete(result):
            return result
    return {}


def read_config(folder: Path) -> dict[str, Any]:
    """Return the contents of a run's `config.yaml` as plain values; empty if the file is missing or damaged."""
    with suppress(OSError, ValueError, YAMLError):
        config = load_yaml(read_text(folder / "config.yaml", MAX_CONFIG))
        if isinstance(config, dict):
            return config
    return {}


def is_complete(result: dict[str, Any]) -> bool:
    """Return whether a result has valid values for all keys; a missing key raises an error."""
    if result["status"] not in STATUSES or not is_finite(result.get("seconds", 0.0)):
        return False
    if result["status"] not in DONE:
        return True
    objective, metrics = result["objective"], result["metrics"]
    numbers = (objective["value"], objective["epoch"], result["epochs"])
    named = objective["name"] in metrics and isinstance(result["checkpoint"], str)
    return named and all(map(is_finite, numbers)) and all(type(value) in (int, float) for value in metrics.values())


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number and not a bool; raise an OverflowError for a huge int."""
    return type(value) in (int, float) and math.isfinite(value)


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write the config, the overrides and the provenance of a run that starts."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    write_text(folder / "overrides.yaml", OmegaConf.to_yaml(cfg.run.overrides))
    user_code = describe_user_code(user_packages(OmegaConf.to_container(cfg)))  # type: ignore[arg-type]
    write_json(folder / "provenance.json", {**collect_provenance(), "user_code": user_code})


def point_to_latest(folder: Path) -> None:
    """Make `outputs/latest` point to a run in `outputs/runs`, or to a job of a sweep in `outputs/sweeps`."""
    parents = folder.absolute().parents
    root = parents[1] if parents[0].name == "runs" else parents[2] if parents[1].name == "sweeps" else None
    if root is not None:
        remove_stale_drafts(root, depth=0)
        point_to(root / "latest", folder.absolute())


def move_aside(folder: Path) -> Path | None:
    """Move the files of an earlier run to a new subfolder of `.replaced`, and return it; `None` without any."""
    earlier = [folder / name for name in (*FOLDERS, *FILES) if (folder / name).exists()]
    if not earlier:
        return None
    aside = next(path for number in count(1) if not (path := folder / REPLACED / str(number)).exists())
    aside.mkdir(parents=True)
    for path in earlier:
        path.rename(aside / path.name)
    return aside


def remove_failed_result(folder: Path) -> None:
    """Remove `result.json` of a failed run after torchrun has restarted its processes, so that the run resumes.

    Each process calls it before rank 0 writes, so that all resume from the same checkpoint.
    """
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if restarted and read_result(folder).get("status") != "completed":
        (folder / RESULT).unlink(missing_ok=True)
