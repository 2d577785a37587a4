"""Finding a run by name: its directory, part of its name, a job of a sweep, the latest or the best."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainyard.history.stored_run import StoredRun, is_run
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.files import check_path, relative
from trainyard.sweeps.stored import SWEEP_FILE, StoredSweep

ROOT = Path("outputs")
ACCEPTED = "a directory, a name or its beginning or ending, SWEEP/NUMBER, latest, best:SWEEP, or a checkpoint"
CHECKPOINTS = (".ckpt", ".safetensors")
MAX_NEWEST = 5  # runs in an error message


def find_run(name: str, root: Path = ROOT) -> StoredRun:
    """Return the run with a name; raise a ConfigError with candidates if there is none or if there are several.

    Args:
        name: a run's directory; its name in outputs/runs, or an unambiguous beginning or ending; `SWEEP/3`, a job;
            `latest`, the run that was started last, which is printed to stderr; `best:SWEEP`, the best job of the best
            configuration; a checkpoint in a run.
        root: the folder of all runs.
    """
    check_path("RUN", name)
    if name.startswith("best:"):
        return find_best_job(name)
    if name == "latest" or Path(name) == root / "latest":
        return find_latest(root)
    for folder in (Path(name), root / "runs" / name, root / "sweeps" / name) if name else ():
        if found := run_at(folder):
            return found
        if (folder / SWEEP_FILE).is_file():
            accepted = f"a job of it, such as {name.rstrip('/')}/0, or best:{name.rstrip('/')}"
            raise config_error("RUN", name, "is a sweep", accepted)
    names = sorted(folder.name for folder in (root / "runs").glob("*/"))
    near = [known for known in names if name and (known.startswith(name) or known.endswith(name))]
    if len(near) == 1:
        return StoredRun(root / "runs" / near[0])
    if near:
        raise config_error("RUN", name, f"{len(near)} runs begin or end with it", join_limited(near[::-1], MAX_NEWEST))
    raise unknown_run_error(name, root)


def find_checkpoint(name: str, root: Path = ROOT) -> Path:
    """Return a checkpoint file itself, or the best checkpoint of the run with a name."""
    check_path("RUN", name)
    path = Path(name).expanduser()
    return path if is_checkpoint(path) else find_run_and_checkpoint(name, root)[1]


def find_run_and_checkpoint(name: str, root: Path = ROOT) -> tuple[StoredRun, Path]:
    """Return the run with a name, and its best checkpoint or the one that was named."""
    run = find_run(name, root)
    if is_checkpoint(Path(name)):
        return run, Path(name)
    if not run.checkpoint.is_file():
        problem = f"{run.name} ({run.status}) has no {relative(run.checkpoint)}"
        raise config_error("RUN", name, problem, "a run with the checkpoint of its best epoch")
    return run, run.checkpoint


def is_checkpoint(path: Path) -> bool:
    """Return whether a path is a file that may contain a model."""
    return path.suffix in CHECKPOINTS and path.is_file()


def run_at(path: Path) -> StoredRun | None:
    """Return the run in a directory, or the run that a checkpoint belongs to."""
    folders = list(path.absolute().parents)[:2] if is_checkpoint(path) else [path]
    return next((StoredRun(folder) for folder in folders if is_run(folder)), None)


def find_latest(root: Path) -> StoredRun:
    """Return the run that `outputs/latest`, a link or a text file, points to, or the last started; print its path."""
    pointer = root / "latest"
    run = None
    with suppress(OSError, ValueError):
        text = pointer.readlink() if pointer.is_symlink() else pointer.read_text(encoding="utf-8").strip()
        path = Path(os.path.relpath(root / text, root))
        if ".." not in path.parts and is_run(root / path):
            run = StoredRun(root / path)
    run = run or max(iterate_runs(root), key=lambda run: run.started, default=None)
    if run is None:
        raise unknown_run_error("latest", root)
    print(f"latest     {relative(run.folder)}", file=sys.stderr)
    return run


def find_best_job(name: str) -> StoredRun:
    """Return the job of `best:SWEEP`: of its best configuration, the completed one with the best validation score."""
    rows = StoredSweep.find(name.removeprefix("best:")).rows
    if not rows or not rows[0].scores:
        raise config_error("RUN", name, "no job is completed", "a sweep with a score")
    return StoredRun(rows[0].best.folder)


def unknown_run_error(name: str, root: Path) -> ConfigError:
    """Return the error for a name that no run has, with the newest runs."""
    if is_checkpoint(Path(name)):
        return config_error("RUN", name, "a checkpoint outside of a run", "one of a run's folder checkpoints")
    sweep = root / "sweeps" / Path(name).parent.name
    if (sweep / SWEEP_FILE).is_file():
        jobs = sorted((folder.name for folder in sweep.iterdir() if folder.name.isdigit() and is_run(folder)), key=int)
        return config_error("RUN", name, "the sweep has no such job", join_limited(jobs) or "a job that has begun")
    problem = f"unknown run{did_you_mean(name, ('latest', *(run.name for run in iterate_runs(root))))}"
    if name == "latest":
        problem = f"{root / name} points to no run" if os.path.lexists(root / name) else "there is none yet"
    newest = sorted((folder.name for folder in (root / "runs").glob("*/")), reverse=True)
    accepted = f"{ACCEPTED}\n  newest: {join_limited(newest, MAX_NEWEST) or f'none in {root}/runs'}"
    return config_error("RUN", name or "''", problem, accepted)


def iterate_runs(root: Path = ROOT) -> Iterator[StoredRun]:
    """Yield every run below a folder, also unfinished ones: all folders in runs/, and the numbered ones in sweeps."""
    for path, names, files in os.walk(root):
        folder = Path(path)
        names[:] = sorted(name for name in names if not name.startswith(".") and not (folder / name).is_symlink())
        begun = [name for name in names if folder == root / "runs" or (SWEEP_FILE in files and name.isdigit())]
        runs = [name for name in names if name in begun or is_run(folder / name)]
        yield from (StoredRun(folder / name) for name in runs)
        names[:] = [name for name in names if name not in runs]
