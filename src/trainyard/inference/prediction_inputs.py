"""Finds the files to predict: files, folders, patterns and standard input."""

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
    """A file with `images` or `rows`; `-` is standard input."""

    name: str
    kind: str


def find_inputs(arguments: Sequence[str]) -> list[InputFile]:
    """Return the given files, the images in given folders, and the files that match patterns, in order."""
    files: list[InputFile] = []
    problems = [f"{STDIN} is given {arguments.count(STDIN)} times"] if arguments.count(STDIN) > 1 else []
    for argument in arguments:
        try:
            files += expand(argument)
        except OSError as error:  # of a folder
            problems.append(f"{error.filename} cannot be read ({error.strerror})")
        except ValueError as problem:
            problems.append(f"{argument or repr(argument)}: {problem}")
    raise_problems(problems, "; ".join(ACCEPTED.values()))
    return files


def expand(argument: str) -> list[InputFile]:
    """Return the files of one argument; raise a ValueError with a short description of a problem, or an OSError."""
    path = os.path.expanduser(argument)  # noqa: PTH111  a Path would drop a leading ./
    if problem := path_problem(path):
        raise ValueError(problem)
    if argument == STDIN:
        return [InputFile(argument, "rows")]
    if argument and Path(path).is_dir():
        names = in_natural_order(name for name, _ in find_files(Path(path)))
        if images := [InputFile(name, "images") for name in names if is_image_name(name)]:
            return images
        raise ValueError("a folder without images")
    if argument and Path(path).is_file():
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
    """Return the images and tables that match a pattern, in natural order; `**` matches nested folders."""
    names = [name for name in glob.glob(pattern, recursive=True) if not Path(name).is_dir()]  # noqa: PTH207
    files = [InputFile(name, kind) for name in in_natural_order(names) if (kind := kind_of(name))]
    if not files:
        raise ValueError("matches no image and no table")
    return files


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return paths sorted folder by folder, `2.png` before `10.png`."""
    return sorted(names, key=lambda name: [natural_key(part) for part in Path(name).parts])


def kind_of(name: str) -> str | None:
    """Return `rows` or `images` by the extension of a file, or `None`."""
    if Path(name).suffix.lower() in (*DELIMITERS, *PARQUET):
        return "rows"
    return "images" if is_image_name(name) else None


def check_kind(files: Sequence[InputFile], kind: str, model: str) -> None:
    """Raise a ConfigError if the files are not of the kind that the model takes, `images` or `rows`."""
    names = {"images": "an image", "rows": "a table"}
    others = [file for file in files if file.kind != kind]
    raise_problems([f"{file.name} is {names[file.kind]}, and {model} takes {kind}" for file in others], ACCEPTED[kind])


def raise_problems(problems: Sequence[str], accepted: str) -> None:
    """Raise a ConfigError that lists all problems, if there are any."""
    if len(problems) == 1:
        raise ConfigError(f"INPUT: {problems[0]}\n  accepted: {accepted}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"INPUT: {len(problems)} problems{lines}\n  accepted: {accepted}")
