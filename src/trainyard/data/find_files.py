"""The files in a folder and in those below it, and which of them are images."""

import errno
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from trainyard.utf8 import MOST_DIGITS

SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
# Formats of photos that Pillow cannot read, or of which it reads a thumbnail.
CONVERTIBLE = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2"), "the raw format of a camera"),
    ".jxl": "JPEG XL",
    ".dcm": "DICOM",
}


def find_files(folder: Path) -> tuple[list[str], list[str]]:
    """Find the files of a folder and of those in it, without ignored ones; links are followed.

    Returns:
        Each file once, in order: at its own place, or at the first link to it. And the other links to these files.

    Raises:
        OSError: a folder cannot be read.
    """
    own: dict[str, str] = {}  # paths by what they are behind all links
    linked: list[tuple[str, str]] = []
    visited: set[str] = set()
    starts = [str(folder)]
    for start in starts:  # which grows by the linked folders
        for real, place, links, names in walk(start, visited):
            starts += [link for link in links if not is_above(link, folder)]
            for name in names:
                path = os.path.join(place, name)  # noqa: PTH118  a Path each would take longer than the rest
                if os.path.islink(path) and is_circular(path):  # noqa: PTH114
                    continue
                if start != starts[0] or os.path.islink(path):  # noqa: PTH114
                    linked.append((os.path.realpath(path), path))
                else:
                    own[os.path.join(real, name)] = path  # noqa: PTH118
    first = dict(reversed(linked)) | own
    repeated = [path for real, path in linked if first[real] != path]
    files = sorted(first.values(), key=walk_order) if linked else list(own.values())
    return files, repeated


def walk(start: str, visited: set[str]) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Yield each folder below `start` that was not visited: its path behind all links, its path, links to folders in
    it, and the names of its files.
    """

    def stop(error: OSError) -> None:
        raise error

    top = os.path.realpath(start)
    for place, folders, names in os.walk(start, onerror=stop):
        real = os.path.normpath(os.path.join(top, os.path.relpath(place, start)))  # noqa: PTH118
        folders[:] = sorted(name for name in folders if not ignored(name)) if real not in visited else []
        if real in visited:
            continue
        visited.add(real)
        paths = [os.path.join(place, name) for name in folders]  # noqa: PTH118
        links = [path for path in paths if os.path.islink(path)]  # noqa: PTH114
        yield real, place, links, sorted(name for name in names if not ignored(name))


def is_circular(link: str) -> bool:
    """Whether a link leads back to itself."""
    try:
        Path(link).stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def walk_order(path: str) -> list[tuple[bool, str]]:
    """Return a key by which the files of a folder come before those of the folders in it, as `os.walk` has them."""
    *folders, name = Path(path).parts
    return [*((True, folder) for folder in folders), (False, name)]


def ignored(name: str) -> bool:
    """Whether a file or folder is hidden, or put there by an operating system."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_above(folder: Path | str, other: Path | str) -> bool:
    """Whether a folder, behind all links, is another one or contains it."""
    return Path(os.path.realpath(other)).is_relative_to(os.path.realpath(folder))


def natural(name: str) -> tuple[list[tuple[float, str]], str]:
    """Return a key by which `class2` comes before `class10`, and no two names are equal."""
    parts = re.split(r"(\d+)", name)
    return [(number(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts], name


def number(digits: str) -> float:
    """Return the number of some digits; infinity where they are more than Python converts."""
    return int(digits) if len(digits) <= MOST_DIGITS else math.inf


def is_image_name(path: str) -> bool:
    """Whether a file is taken for an image: by an ending of an image that Pillow knows or of `CONVERTIBLE`, or none."""
    from PIL import Image

    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122  a Path each would take longer than the rest
    known = Image.registered_extensions().get(ending) in Image.OPEN  # some it can only write, like .pdf
    return not ending or known or ending in CONVERTIBLE
