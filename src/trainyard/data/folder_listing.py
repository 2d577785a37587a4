"""Which image files a folder of class folders holds, and what is wrong with it at first sight."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.errors import did_you_mean, listing, reject

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {*SPLITS, "training", "valid", "validation", "testing"}
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
        outside: images and folders that are in no class folder, so that nothing is made of them.
        others: how many files are no images by their name.
    """

    classes: tuple[str, ...]
    files: list[ImageFile] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    others: int = 0


def list_folder(root: Path) -> FolderListing:
    """Look through class folders, or through those in `train/`, `val/` and `test/`.

    Raises:
        ConfigError: there is no such folder, it has no two classes, or a folder in it may not be read.
    """
    try:
        check_is_folder(root)
        parts = split_folders(root)
        inside = {
            split: {name: images_below(folder / name) for name in class_folders(folder)}
            for split, folder in parts.items()
        }
    except OSError as error:
        raise reject("data.root", root, f"{error.filename} cannot be read ({error.strerror})", LAYOUT) from error
    classes = tuple(name for name, (images, _) in inside["train"].items() if images)
    check_classes(root, classes, divided=parts["train"] != root)
    found = FolderListing(classes, outside=outside_classes(root, parts))
    for split, folders in inside.items():
        for name, (images, others) in folders.items():
            folder = os.path.relpath(parts[split] / name, root) + "/"
            found.others += others
            if not images:
                found.empty.append(folder)
            elif name not in classes:
                found.unknown.append(folder)
            else:
                found.files += [ImageFile(os.path.relpath(path, root), classes.index(name), split) for path in images]
    return found


def check_is_folder(root: Path) -> None:
    """Stop where there is no such folder."""
    if root.is_dir():
        return
    problem = f"there is no folder {root.absolute()}"
    if root.is_file():
        problem = "it is a file, not a folder"
    elif root.parent.is_dir():
        problem += did_you_mean(root.name, class_folders(root.parent))
    raise reject("data.root", root, problem, LAYOUT)


def check_classes(root: Path, classes: tuple[str, ...], divided: bool) -> None:
    """Stop where there are no two classes, or where they are splits: without class folders, or under other names."""
    if len(classes) < 2:
        raise reject("data.root", root, f"class folders with images: {listing(classes) or 'none'}, not two", LAYOUT)
    if not divided and {name.casefold() for name in classes} <= SPLIT_WORDS:
        raise reject("data.root", root, f"{listing(classes)} are no classes", LAYOUT)


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split: those of the splits if `train/` has class folders, or all for `train`."""
    parts = {name: root / name for name in SPLITS if (root / name).is_dir()}
    return parts if "train" in parts and class_folders(parts["train"]) else {"train": root}


def outside_classes(root: Path, parts: dict[str, Path]) -> list[str]:
    """Return the folders that lie beside those of the splits, and the images that lie beside class folders."""
    folders = [] if parts["train"] == root else [f"{name}/" for name in class_folders(root) if name not in parts]
    images = [path for folder in {root, *parts.values()} for path in folder.glob("[!.]*.*") if is_image_name(path.name)]
    return folders + sorted(os.path.relpath(path, root) for path in images if path.is_file())


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


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key by which `class2` comes before `class10`, and no two names are equal."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts], name


def files_below(folder: Path) -> Iterator[str]:
    """Yield the files of a folder and of those in it, in order; hidden ones are none.

    Raises:
        OSError: a folder may not be read.
    """

    def stop(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(names) if not name.startswith("."))  # noqa: PTH118


def is_image_name(path: str) -> bool:
    """Whether a file is taken for an image: by an ending that PIL knows, or none."""
    from PIL import Image

    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122  a Path each would take longer than the rest
    return not ending or Image.registered_extensions().get(ending) in Image.OPEN  # some it can only write, like .pdf
