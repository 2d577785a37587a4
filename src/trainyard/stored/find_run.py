"""How a person names a run: by its directory, a part of its name, a job of a sweep, or as the latest or the best."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainyard.errors import ConfigError, did_you_mean, listing, reject
from trainyard.files import check_path, relative
from trainyard.stored.run import StoredRun, is_run
from trainyard.sweeps.stored import SWEEP_FILE as SWEEP
from trainyard.sweeps.stored import StoredSweep

ROOT = Path("outputs")
ACCEPTED = "a directory, a name or its beginning or ending, SWEEP/NUMBER, latest, best:SWEEP, or a checkpoint"
CHECKPOINTS = (".ckpt", ".safetensors")
NEWEST = 5  # runs that are named where none was found


def find_run(name: str, root: Path = ROOT) -> StoredRun:
    """Return the run that a person means.

    Args:
        name: a run's directory; its name in outputs/runs, or a beginning or an ending that no other has; `SWEEP/3`, a
            job; `latest`, the run that was started last, a job of a sweep included, which is printed to stderr;
            `best:SWEEP`, the best job of the best configuration; a checkpoint in a run.
        root: the folder of all runs.

    Raises:
        ConfigError: there is none, or several; the message says which there are.
    """
    check_path("RUN", name)
    if name.startswith("best:"):
        return best_job(name)
    if name == "latest" or Path(name) == root / "latest":
        return latest(root)
    for folder in (Path(name), root / "runs" / name, root / "sweeps" / name):
        found = run_at(folder) if name else None
        if found:
            return found
        if (folder / SWEEP).is_file() and name:
            accepted = f"a job of it, such as {name.rstrip('/')}/0, or best:{name.rstrip('/')}"
            raise reject("RUN", name, "it is a sweep", accepted)
    names = sorted(folder.name for folder in (root / "runs").glob("*/"))
    near = [known for known in names if name and (known.startswith(name) or known.endswith(name))]
    if len(near) == 1:
        return StoredRun(root / "runs" / near[0])
    if near:
        raise reject("RUN", name, f"{len(near)} runs begin or end so", listing(near[::-1], NEWEST))
    raise unknown(name, root)


def find_checkpoint(name: str, root: Path = ROOT) -> Path:
    """Return the checkpoint that a person means: a file, wherever it lies, or that of the best epoch of a run.

    Raises:
        ConfigError: there is no such run, or it kept no checkpoint.
    """
    check_path("RUN", name)
    path = Path(name).expanduser()
    return path if is_checkpoint(path) else checkpoint_of(find_run(name, root), name)


def find_run_and_checkpoint(name: str, root: Path = ROOT) -> tuple[StoredRun, Path]:
    """Return the run that a person means, and its best checkpoint, or the one that was named.

    Raises:
        ConfigError: there is no such run, or it kept no checkpoint.
    """
    run = find_run(name, root)
    return run, Path(name) if is_checkpoint(Path(name)) else checkpoint_of(run, name)


def is_checkpoint(path: Path) -> bool:
    """Whether a path is that of a file that may hold a model."""
    return path.suffix in CHECKPOINTS and path.is_file()


def checkpoint_of(run: StoredRun, name: str) -> Path:
    """Return the checkpoint of the best epoch of a run that was named so; raise a ConfigError where it kept none."""
    if not run.checkpoint.is_file():
        problem = f"{run.name} ({run.status}) has no {relative(run.checkpoint)}"
        raise reject("RUN", name, problem, "a run that kept the checkpoint of its best epoch")
    return run.checkpoint


def run_at(path: Path) -> StoredRun | None:
    """Return the run that lies at a path, or that the checkpoint at this path belongs to."""
    if path.suffix in CHECKPOINTS and path.is_file():
        return next((StoredRun(folder) for folder in list(path.absolute().parents)[:2] if is_run(folder)), None)
    return StoredRun(path) if is_run(path) else None


def latest(root: Path) -> StoredRun:
    """Return the run that was started last, and print its path to stderr.

    `outputs/latest` points to it, by a link or in a text file; where that leads to no run, the times of all runs tell.
    """
    pointer = root / "latest"
    run = None
    with suppress(OSError, ValueError):
        text = pointer.readlink() if pointer.is_symlink() else pointer.read_text(encoding="utf-8").strip()
        path = Path(os.path.relpath(root / text, root))
        if ".." not in path.parts and is_run(root / path):
            run = StoredRun(root / path)
    run = run or max(all_runs(root), key=lambda run: run.started, default=None)
    if run is None:
        problem = f"{pointer} points to no run" if os.path.lexists(pointer) else "there is none yet"
        raise reject("RUN", "latest", problem, newest(root))
    print(f"latest     {relative(run.folder)}", file=sys.stderr)
    return run


def best_job(name: str) -> StoredRun:
    """Return the job of `best:SWEEP`: of its best configuration, the completed one with the best validation score.

    Raises:
        ConfigError: no such sweep, or none of its jobs is completed.
    """
    rows = StoredSweep.find(name.removeprefix("best:")).rows
    if not rows or not rows[0].scores:
        raise reject("RUN", name, "no job of it is completed", "a sweep with a score")
    return StoredRun(rows[0].best.folder)


def unknown(name: str, root: Path) -> ConfigError:
    """Return the error that says that a name is that of no run."""
    if Path(name).suffix in CHECKPOINTS and Path(name).is_file():
        return reject("RUN", name, "a checkpoint that lies in no run", "one of a run's folder checkpoints")
    sweep = root / "sweeps" / Path(name).parent.name
    if (sweep / SWEEP).is_file():
        jobs = sorted((folder.name for folder in sweep.iterdir() if folder.name.isdigit() and is_run(folder)), key=int)
        return reject("RUN", name, "the sweep has no such job", listing(jobs) or "one that has begun")
    names = [run.name for run in all_runs(root)]
    near = did_you_mean(name, ("latest", *names))
    return reject("RUN", name or "''", f"there is no such run{near}", newest(root))


def newest(root: Path) -> str:
    """Return what may stand for a run, and the newest ones."""
    names = sorted((folder.name for folder in (root / "runs").glob("*/")), reverse=True)
    return f"{ACCEPTED}\n  newest: {listing(names, NEWEST) or f'none in {root}/runs'}"


def all_runs(root: Path = ROOT) -> Iterator[StoredRun]:
    """Yield every run below a folder, also what began to be one: all in runs/, and all numbered ones of a sweep."""
    for path, names, files in os.walk(root):
        folder = Path(path)
        names[:] = sorted(name for name in names if not name.startswith(".") and not (folder / name).is_symlink())
        begun = [name for name in names if folder == root / "runs" or (SWEEP in files and name.isdigit())]
        runs = [name for name in names if name in begun or is_run(folder / name)]
        yield from (StoredRun(folder / name) for name in runs)
        names[:] = [name for name in names if name not in runs]
