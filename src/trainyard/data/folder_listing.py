"""Which image files a folder of class folders holds, and what is wrong with it at first sight."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.errors import listing, reject

SPLITS = ("train", "val", "test")
LAYOUT = "a folder with a folder of images for each class, or with train/, test/ and maybe val/ that have them"


@dataclass(frozen=True)
class ImageFile:
    """One image file: its path below the folder, its class, and `train`, `val` or `test`."""

    path: str
    label: int
    split: str


@dataclass
class FolderListing:
    """The files of a folder, in a fixed order.

    Attributes:
        classes: names in natural order (`class2` before `class10`).
        files: those of classes that training has.
        empty: class folders without an image.
        unknown: class folders of val or test that train lacks.
        others: how many files are no images by their name.
    """

    classes: tuple[str, ...]
    files: list[ImageFile] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    others: int = 0


def list_folder(root: Path) -> FolderListing:
    """Look through class folders, or through those in `train/`, `val/` and `test/`.

    Raises:
        ConfigError: there is no such folder, or it has no two classes.
    """
    if not root.is_dir():
        raise reject("data.root", root, f"there is no folder {root.absolute()}", LAYOUT)
    divided = (root / "train").is_dir()
    parts = {name: root / name for name in SPLITS if (root / name).is_dir()} if divided else {"train": root}
    inside = {
        split: {name: images_below(folder / name) for name in class_folders(folder)} for split, folder in parts.items()
    }
    classes = tuple(name for name, (images, _) in inside["train"].items() if images)
    if len(classes) < 2:
        problem = f"it has {len(classes)} class folders with images ({listing(classes) or 'none'})"
        raise reject("data.root", root, problem, LAYOUT)
    found = FolderListing(classes)
    for split, folders in inside.items():
        for name, (images, others) in folders.items():
            folder = f"{split}/{name}/" if divided else f"{name}/"
            found.others += others
            if not images:
                found.empty.append(folder)
            elif name not in classes:
                found.unknown.append(folder)
            else:
                label = classes.index(name)
                found.files += [ImageFile(os.path.relpath(path, root), label, split) for path in images]
    return found


def images_below(folder: Path) -> tuple[list[str], int]:
    """Return the image files in a folder and in those below it, and how many others there are."""
    files = list(files_below(folder))
    images = [path for path in files if is_image_name(path)]
    return images, len(files) - len(images)


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in natural order; hidden ones are none."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(names, key=natural)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which `class2` comes before `class10`."""
    return [(int(part), "") if part.isdigit() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)]


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files of a folder and of those in it, in order; hidden ones are none."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118


def is_image_name(path: str) -> bool:
    """Whether a file is taken for an image: by an ending that PIL knows, or none."""
    from PIL import Image

    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122  a Path each would take longer than the rest
    return not ending or ending in Image.registered_extensions()
