"""Finds the files to predict from what the user typed: files, folders, patterns and standard input."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainyard.data.images.folder_listing import find_files, is_image_name
from trainyard.data.tables.reading import DELIMITERS, PARQUET
from trainyard.io.errors import ConfigError, did_you_mean
from trainyard.io.files import natural_key, path_problem

STDIN = "-"
ACCEPTED = {
    "images": "images, folders of images, patterns in quotes such as 'photos/**/*.png'",
    "rows": "tables (.csv, .tsv, .parquet), patterns in quotes such as '*.csv', - for a CSV from standard input",
}


@dataclass(frozen=True)
class InputFile:
    """A file with `images` or `rows`; the name is the path as it was typed or found."""

    name: str
    kind: str


def find_inputs(words: Sequence[str]) -> list[InputFile]:
    """Return the given files, those in folders, and those that match patterns, in order.

    Raises:
        ConfigError: a file does not exist, is neither image nor table, or nothing matches; it lists all problems.
    """
    files: list[InputFile] = []
    problems = [f"{STDIN} is given {words.count(STDIN)} times"] if words.count(STDIN) > 1 else []
    for word in words:
        try:
            files += files_of(word)
        except OSError as error:  # of a folder
            problems.append(f"{error.filename} cannot be read ({error.strerror})")
        except ValueError as problem:
            problems.append(f"{word or repr(word)}: {problem}")
    raise_all(problems, "; ".join(ACCEPTED.values()))
    return files


def files_of(word: str) -> list[InputFile]:
    """Return the files of one argument.

    Raises:
        ValueError: a short description of the problem.
        OSError: a folder cannot be read.
    """
    path = os.path.expanduser(word)  # noqa: PTH111  a Path would drop a leading ./
    if problem := path_problem(path):
        raise ValueError(problem)
    if word == STDIN:
        return [InputFile(word, "rows")]
    if word and Path(path).is_dir():
        names = in_natural_order(find_files(Path(path)))
        if found := [InputFile(name, "images") for name in names if is_image_name(name)]:
            return found
        raise ValueError("a folder without images")
    if word and Path(path).is_file():
        if kind := kind_of(path):
            return [InputFile(path, kind)]
        raise ValueError(f"{Path(path).suffix} is not an extension of an image or a table")
    if os.path.lexists(path):
        raise ValueError("not a regular file" if Path(path).exists() else "a broken link")
    if glob.has_magic(path):
        return match_pattern(path)
    folder = Path(path).parent
    siblings = os.listdir(folder) if path and folder.is_dir() else []  # noqa: PTH208
    raise ValueError(f"no such file{did_you_mean(Path(path).name, siblings)}")


def match_pattern(pattern: str) -> list[InputFile]:
    """Return the images and tables that match a pattern, in natural order; `**` matches any folders."""
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    names = [name for name in found if not Path(name).is_dir()]
    kinds = {name: kind for name in in_natural_order(names) if (kind := kind_of(name))}
    if not kinds:
        matches = "no image and no table" if names else "only folders" if found else "no file"
        raise ValueError(f"matches {matches}")
    return [InputFile(name, kind) for name, kind in kinds.items()]


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return paths sorted folder by folder, `2.png` before `10.png`."""
    return sorted(names, key=lambda name: [natural_key(part) for part in Path(name).parts])


def kind_of(name: str) -> str | None:
    """Return `rows` or `images` by the extension of a file."""
    if Path(name).suffix.lower() in (*DELIMITERS, *PARQUET):
        return "rows"
    return "images" if is_image_name(name) else None


def check_kind(files: Sequence[InputFile], kind: str, model: str) -> None:
    """Raise a ConfigError that lists the files which are not of the kind, `images` or `rows`, that a model takes."""
    one = {"images": "an image", "rows": "a table"}
    others = [file for file in files if file.kind != kind]
    raise_all([f"{file.name} is {one[file.kind]}, and {model} takes {kind}" for file in others], ACCEPTED[kind])


def raise_all(problems: Sequence[str], accepted: str) -> None:
    """Raise one error with all problems, if there are any."""
    if len(problems) == 1:
        raise ConfigError(f"INPUT: {problems[0]}\n  accepted: {accepted}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"INPUT: {len(problems)} problems{lines}\n  accepted: {accepted}")
