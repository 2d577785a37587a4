"""Atomic writes, and safe reads of files that may come from someone else."""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from trainyard.io.errors import reject

MOST_NAME, MOST_PATH = 255, 4095  # bytes, on Linux
PATHS = f"a path of at most {MOST_PATH} bytes, each name in it at most {MOST_NAME}"
MIB = 2**20
MOST_BYTES = 16 * MIB  # of a file of texts
MOST_TABLE = 1024 * MIB  # of a table or a journal
ENDING = "(?:csv|json|md|npz|onnx|png|pt2|safetensors|txt|yaml)"
DRAFT = re.compile(
    rf".+\.(\d+)\.draft(?:\.\w+)?|\.[^.]+\.{ENDING}\.(\d+)|\.(\d+)\.[^.]+\.{ENDING}"
)  # the last two: of earlier versions


def open_regular(path: Path, most: int | None = MOST_BYTES) -> BinaryIO:
    """Open a file for reading, unless it is a link, pipe, socket or device.

    Args:
        path: of the file.
        most: largest size in bytes; `None` for no limit.

    Raises:
        OSError: it is another kind of file, larger, or cannot be read.
    """
    flags = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if most is not None and state.st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most // MIB} MiB", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Return the text of a regular file.

    Raises:
        OSError: see `open_regular`.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open_regular(path, most) as file:
        return file.read(most).decode("utf-8")


def read_json(path: Path) -> Any:
    """Return what a regular file of JSON contains.

    Raises:
        OSError: see `open_regular`.
        ValueError: it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply") from error


def check_own_files(key: str, folder: Path) -> None:
    """Raise a ConfigError for a link that leads out of a folder, and for a pipe, socket or device in it, at any depth.

    With these, a run would write elsewhere or block.
    """
    home = folder.resolve()
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # another process has removed it
                continue
            if stat.S_ISLNK(mode) and not path.resolve().is_relative_to(home):
                raise reject(key, folder, f"{path} is a link to {path.resolve()}, outside of it", "the link removed")
            if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise reject(key, folder, f"{path} is a pipe, socket or device", "the file removed")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix, which is renamed to `path` at the end of the block.

    So readers never see an incomplete file. If the block raises an error, `path` stays as it was.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.draft{path.suffix}")
    draft.unlink(missing_ok=True)  # a link there would be followed
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, see `replacing`."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented JSON, atomically."""
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
    """Raise a ConfigError for an invalid path: too long, with a name that is too long, or with a NUL character."""
    if problem := path_problem(text):
        raise reject(key, text, problem, PATHS)


def path_problem(text: str) -> str:
    """Return why a path is invalid, or an empty string."""
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
    """Whether another process has this ID; always false on Windows, where an open file cannot be removed anyway."""
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


def natural_key(name: str) -> tuple[list[tuple[float, str]], str]:
    """Return a sort key by which `class2` precedes `class10`, different for different names."""
    parts = re.split(r"(\d+)", name)
    return [(float(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts], name
