"""What a person gives to be predicted: files, folders, patterns and standard input, as a list of files."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainyard.data.images.folder_listing import find_files, is_image_name, natural_key
from trainyard.data.tables.table_file import DELIMITERS, PARQUET
from trainyard.errors import ConfigError, did_you_mean
from trainyard.files import path_problem

STDIN = "-"
ACCEPTED = {
    "images": "images, folders of images, patterns in quotes such as 'photos/**/*.png'",
    "rows": "tables (.csv, .tsv, .parquet), patterns in quotes such as '*.csv', - for a CSV from standard input",
}


@dataclass(frozen=True)
class InputFile:
    """One file: the path as it was typed or found, and whether it is of `images` or of `rows`."""

    name: str
    kind: str


def find_inputs(words: Sequence[str]) -> list[InputFile]:
    """Return the files that were typed, those in folders, and those that match patterns; in order.

    Raises:
        ConfigError: something is not there, is neither image nor table, or matches nothing; all of it is named.
    """
    files: list[InputFile] = []
    problems = [f"{STDIN} is typed {words.count(STDIN)} times"] if words.count(STDIN) > 1 else []
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
    """Return the files that one typed word stands for.

    Raises:
        ValueError: the problem, in a few words.
        OSError: a folder cannot be read.
    """
    path = os.path.expanduser(word)  # noqa: PTH111  a Path would lose the ./ that was typed
    if problem := path_problem(path):
        raise ValueError(problem)
    if word == STDIN:
        return [InputFile(word, "rows")]
    if word and Path(path).is_dir():
        found = [InputFile(name, "images") for name in in_natural_order(find_files(Path(path))) if is_image_name(name)]
        if not found:
            raise ValueError("a folder without images")
        return found
    if word and Path(path).is_file():
        kind = kind_of(path)
        if kind is None:
            raise ValueError(f"the ending {Path(path).suffix} is that of no image or table")
        return [InputFile(path, kind)]
    if os.path.lexists(path):
        raise ValueError("no regular file" if Path(path).exists() else "a link to nothing")
    if glob.has_magic(path):
        return matching(path)
    raise ValueError(f"there is no such file{did_you_mean(Path(path).name, siblings(path))}")


def matching(pattern: str) -> list[InputFile]:
    """Return the images and tables that match a pattern, in natural order; `**` is any folders."""
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207
    names = [name for name in found if not Path(name).is_dir()]
    kinds = {name: kind for name in in_natural_order(names) if (kind := kind_of(name))}
    if not kinds:
        what = "no image and no table" if names else "folders alone" if found else "no file"
        raise ValueError(f"it matches {what}")
    return [InputFile(name, kind) for name, kind in kinds.items()]


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return paths folder by folder, `2.png` before `10.png`."""
    return sorted(names, key=lambda name: [natural_key(part) for part in Path(name).parts])


def kind_of(name: str) -> str | None:
    """Return `rows` or `images`, by the ending of a file."""
    if Path(name).suffix.lower() in (*DELIMITERS, *PARQUET):
        return "rows"
    return "images" if is_image_name(name) else None


def siblings(path: str) -> list[str]:
    """Return the names that lie where a file was looked for."""
    folder = Path(path).parent
    return os.listdir(folder) if path and folder.is_dir() else []  # noqa: PTH208


def check_kind(files: Sequence[InputFile], kind: str, model: str) -> None:
    """Stop where a file is not of the model's kind.

    Args:
        files: what is to be predicted.
        kind: `images` or `rows`.
        model: what the model is called, for the error.

    Raises:
        ConfigError: it names all such files, and the model.
    """
    one = {"images": "an image", "rows": "a table"}
    others = [file for file in files if file.kind != kind]
    raise_all([f"{file.name} is {one[file.kind]}, and {model} takes {kind}" for file in others], ACCEPTED[kind])


def raise_all(problems: Sequence[str], accepted: str) -> None:
    """Raise one error that names all problems, if there are any."""
    if len(problems) == 1:
        raise ConfigError(f"INPUT: {problems[0]}\n  accepted: {accepted}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"INPUT: {len(problems)} problems{lines}\n  accepted: {accepted}")
