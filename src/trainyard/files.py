"""Files that are either there whole or not there."""

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainyard.errors import reject

ENDING = "(?:csv|json|md|npz|onnx|png|pt2|safetensors|txt|yaml)"
DRAFT = re.compile(rf".+\.(\d+)\.draft|\.[^.]+\.{ENDING}\.(\d+)|\.(\d+)\.[^.]+\.{ENDING}")  # temporary, by process ID


def write_text(path: Path, text: str) -> None:
    """Write a file beside `path` and move it there: a reader, or a crash, never meets half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def inside(home: Path, name: str) -> Path:
    """Return a folder in a run's directory to write into, made if it is not there.

    Raises:
        ConfigError: a link leads out of the directory, as one from someone else may have, or it cannot be written.
    """
    folder = home / name
    if not folder.resolve().is_relative_to(home.resolve()):
        raise reject("--output", folder, f"a link to {folder.resolve()}, outside of the run", "a folder that you type")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise reject("--output", folder, f"cannot be written ({error.strerror})", "a folder of yours") from error
    return folder


def check_folder(folder: Path) -> None:
    """Raise a ConfigError where a file lies in the place of a folder to write into, before anything is computed."""
    if folder.exists() and not folder.is_dir():
        raise reject("--output", folder, "it is a file", "a folder, there or not")


def point_to(pointer: Path, target: Path) -> None:
    """Make `pointer` a relative link to `target`; a text file with the path where links don't work."""
    relative = os.path.relpath(target, pointer.parent)
    draft = pointer.with_name(f".{pointer.name}.{os.getpid()}.draft")
    try:
        draft.symlink_to(relative, target_is_directory=True)
        draft.replace(pointer)
    except OSError:
        draft.unlink(missing_ok=True)
        write_text(pointer, f"{relative}\n")


def relative(folder: Path) -> str:
    """Return the path as a person in the current folder would type it."""
    path = os.path.relpath(folder)
    return str(folder) if path.startswith("..") else path


def remove_stale_drafts(folder: Path, depth: int) -> None:
    """Remove the temporary files that processes which have ended left in a folder, and in those below it."""
    for path, folders, files in os.walk(folder):
        if len(Path(path).relative_to(folder).parts) >= depth:
            folders.clear()
        for name in files:
            found = DRAFT.fullmatch(name)
            if found and not is_other_process(int(next(filter(None, found.groups())))):
                with suppress(OSError):
                    Path(path, name).unlink()


def is_other_process(pid: int) -> bool:
    """Whether another process has this ID now; Windows does not let a file go that a process has open."""
    if pid in (0, os.getpid()) or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
