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

import yaml  # type: ignore[import-untyped]

from trainyard.io.errors import config_error

MAX_NAME, MAX_PATH = 255, 4095  # bytes, on Linux
PATHS = f"a path of at most {MAX_PATH} bytes, each name in it at most {MAX_NAME}"
MIB = 2**20
MAX_TEXT = 16 * MIB
MAX_CONFIG = MIB  # parsing it takes half a second
MAX_TABLE = 1024 * MIB  # of a CSV file or a journal
MAX_DEPTH = 50  # levels of YAML; at some ten thousand, libyaml crashes Python
DRAFT = re.compile(r".+\.(\d{1,9})\.draft(?:\.\w+)?")  # the number is the ID of the process


def open_regular(path: Path, max_bytes: int | None = MAX_TEXT) -> BinaryIO:
    """Open a file for reading; raise an OSError for links, pipes, sockets, devices, and more than `max_bytes`."""
    flags = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if max_bytes is not None and state.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"larger than {max_bytes // MIB} MiB", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_text(path: Path, max_bytes: int = MAX_TEXT) -> str:
    """Return the text of a regular file; raise an OSError as `open_regular` does, or a UnicodeDecodeError."""
    with open_regular(path, max_bytes) as file:
        return file.read(os.fstat(file.fileno()).st_size).decode("utf-8")  # a larger buffer takes time to allocate


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; raise an OSError, or a ValueError for invalid JSON."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply") from error


def load_yaml(text: str) -> Any:
    """Parse YAML from someone else; a YAMLError for tags, and aliases, which could expand to billions of values."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        if isinstance(event, yaml.CollectionStartEvent) and event.tag:  # !!pairs makes tuples
            raise yaml.YAMLError(f"the tag {event.tag} is not supported")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} levels deep")
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except ValueError as error:  # an invalid date or number
        raise yaml.YAMLError(str(error)) from error


def check_regular_files(key: str, folder: Path) -> None:
    """Raise a ConfigError for a link out of a folder and for a pipe, socket or device in it, at any depth.

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
                problem = f"{path} is a link to {path.resolve()}, outside of it"
                raise config_error(key, folder, problem, "the link removed")
            if not (stat.S_ISLNK(mode) or stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise config_error(key, folder, f"{path} is a pipe, socket or device", "the file removed")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix, which is renamed to `path` at the end of the block.

    Readers never see an incomplete file. After an error in the block, `path` is unchanged.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.draft{path.suffix}")
    draft.unlink(missing_ok=True)  # a link there would be followed
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def output_folder(run: Path, name: str) -> Path:
    """Create a folder in a run's directory and return it; raise a ConfigError if a link leads out of the run."""
    folder = run / name
    if not folder.resolve().is_relative_to(run.resolve()):
        problem = f"a link to {folder.resolve()}, outside of the run"
        raise config_error("--output", folder, problem, "another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise config_error("--output", folder, f"cannot be written ({error.strerror})", "another folder") from error
    return folder


def check_path(key: str, text: str) -> None:
    """Raise a ConfigError for an invalid path: too long, with a name that is too long, or with a NUL character."""
    if problem := path_problem(text):
        raise config_error(key, text, problem, PATHS)


def path_problem(text: str) -> str:
    """Return why a path is invalid, or an empty string."""
    if "\0" in text:
        return "a path with a NUL character"
    longest = max((os.fsencode(part) for part in Path(text).parts), key=len, default=b"")
    if len(longest) > MAX_NAME:
        return f"a name of {len(longest)} bytes"
    return f"a path of {size} bytes" if (size := len(os.fsencode(text))) > MAX_PATH else ""


def check_folder(folder: Path) -> None:
    """Raise a ConfigError if an output folder cannot be created because a file has its name."""
    check_path("--output", str(folder))
    if folder.exists() and not folder.is_dir():
        raise config_error("--output", folder, "is a file", "a folder, new or existing")


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
    """Return the path relative to the current folder if it is inside of it."""
    path = os.path.relpath(folder)
    return str(folder) if path.startswith("..") else path


def remove_stale_drafts(folder: Path, depth: int) -> None:
    """Remove the temporary files of processes that have ended, in a folder and `depth` levels below it."""
    import psutil

    for path, folders, files in os.walk(folder):
        if len(Path(path).relative_to(folder).parts) >= depth:
            folders.clear()
        for name in files:
            found = DRAFT.fullmatch(name)
            if found and (int(found[1]) == os.getpid() or not psutil.pid_exists(int(found[1]))):
                with suppress(OSError):
                    Path(path, name).unlink()


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def natural_key(name: str) -> tuple[list[tuple[float, str]], str]:
    """Return a sort key by which `class2` precedes `class10`, different for different names."""
    parts = re.split(r"(\d+)", name)
    return [(float(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts], name
