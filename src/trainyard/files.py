"""Files that are either there whole or not there."""

import json
import os
from pathlib import Path
from typing import Any

from trainyard.errors import reject

MOST_NAME, MOST_PATH = 255, 4095  # bytes, on Linux
PATHS = f"a path of at most {MOST_PATH} bytes, each name in it at most {MOST_NAME}"


def write_text(path: Path, text: str) -> None:
    """Write a file beside `path` and move it there: a reader, or a crash, never meets half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
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


def check_path(key: str, text: str) -> None:
    """Raise a ConfigError for a path that no file system takes: with a name or as a whole too long, or with a NUL."""
    if problem := path_problem(text):
        raise reject(key, text, problem, PATHS)


def path_problem(text: str) -> str:
    """Return why no file system takes a path, and nothing where one does."""
    if "\0" in text:
        return "a path with a NUL character"
    longest = max((os.fsencode(part) for part in Path(text).parts), key=len, default=b"")
    if len(longest) > MOST_NAME:
        return f"a name of {len(longest)} bytes"
    return f"a path of {size} bytes" if (size := len(os.fsencode(text))) > MOST_PATH else ""


def check_folder(folder: Path) -> None:
    """Raise a ConfigError where a file lies in the place of a folder to write into, before anything is computed."""
    check_path("--output", str(folder))
    if folder.exists() and not folder.is_dir():
        raise reject("--output", folder, "it is a file", "a folder, there or not")


def point_to(pointer: Path, target: Path) -> None:
    """Make `pointer` a relative link to `target`; a text file with the path where links don't work."""
    relative = os.path.relpath(target, pointer.parent)
    draft = pointer.with_name(f".{pointer.name}.{os.getpid()}")
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
