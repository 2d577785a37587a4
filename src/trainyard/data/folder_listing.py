"""Which image files a folder of class folders holds, and what is wrong with it at first sight."""

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.data.find_files import find_files, ignored, is_above, is_image_name, natural
from trainyard.errors import did_you_mean, listing, reject

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {  # of folders, in any case
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
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
        outside: images and folders that are in no class folder and are not used.
        repeated: links to images that are listed at another place of the same split.
        others: how many files have each ending that is not one of images.
    """

    classes: tuple[str, ...]
    files: list[ImageFile] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def list_folder(root: Path) -> FolderListing:
    """List the images of class folders, or of those in `train/`, `val/` and `test/`.

    Raises:
        ConfigError: the folder does not exist, has fewer than two classes, two folders are the same split, or a
            folder in it cannot be read.
    """
    found = FolderListing(())
    try:
        check_is_folder(root)
        parts = split_folders(root)
        inside = {split: images_by_class(root, folder, found) for split, folder in parts.items()}
    except OSError as error:
        raise reject("data.root", root, f"{error.filename} cannot be read ({error.strerror})", LAYOUT) from error
    found.classes = tuple(name for name, images in inside["train"].items() if images)
    check_classes(root, found, divided=parts["train"] != root)
    found.outside = outside_classes(root, parts)
    for split, folders in inside.items():
        for name, images in folders.items():
            folder = os.path.relpath(parts[split] / name, root) + "/"
            if not images:
                found.empty.append(folder)
            elif name not in found.classes:
                found.unknown.append(folder + alike_in(name, found.classes))
            else:
                found.files += [ImageFile(path, found.classes.index(name), split) for path in images]
    return found


def images_by_class(root: Path, folder: Path, found: FolderListing) -> dict[str, list[str]]:
    """Return the images of each class folder in `folder`, below `root`; count what else is there in `found`."""
    images: dict[str, list[str]] = {name: [] for name in class_folders(folder)}
    above, below = os.path.join(root, ""), os.path.join(folder, "")  # noqa: PTH118
    files, repeated = find_files(folder)
    found.repeated += [path.removeprefix(above) for path in repeated if is_image_name(path)]
    for path in files:
        name, inside, _ = path.removeprefix(below).partition(os.sep)
        if inside and is_image_name(path):
            images[name].append(path.removeprefix(above))
        elif inside:
            found.others[Path(path).suffix.lower()] += 1
    return images


def check_is_folder(root: Path) -> None:
    """Stop where there is no such folder."""
    if root.is_dir():
        return
    problem = f"there is no folder {root.absolute()}"
    if root.is_file():
        problem = "it is a file, not a folder"
    elif root.exists():
        problem = "it is a pipe, a socket or a device, not a folder"
    elif root.parent.is_dir():
        problem += did_you_mean(root.name, class_folders(root.parent))
    raise reject("data.root", root, problem, LAYOUT)


def check_classes(root: Path, found: FolderListing, divided: bool) -> None:
    """Stop where there are no two classes, or where they are splits: without class folders, or without training."""
    if len(found.classes) < 2:
        others = f" (and {ending_counts(found.others)}, which are not images)" if found.others else ""
        problem = f"class folders with images: {listing(found.classes) or 'none'}, not two{others}"
        raise reject("data.root", root, problem, LAYOUT)
    if not divided and all(split_of(name) for name in found.classes):
        raise reject("data.root", root, f"{listing(found.classes)} are no classes", LAYOUT)


def ending_counts(endings: Counter[str]) -> str:
    """Return how many files there are of each ending, the most frequent first."""
    return listing(f"{count} {ending or 'without an ending'}" for ending, count in endings.most_common())


def split_of(name: str) -> str | None:
    """Return the split that a folder of this name has, if it is that of a split."""
    return SPLIT_NAMES.get(name.strip().casefold())


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split: those of the splits if that of `train` has class folders, or all for `train`.

    Raises:
        ConfigError: several folders with class folders are the same split.
    """
    named: dict[str, list[str]] = {}
    for name in class_folders(root):
        if split := split_of(name):
            named.setdefault(split, []).append(name)
    filled = {split: [name for name in names if class_folders(root / name)] for split, names in named.items()}
    if not filled.get("train"):
        return {"train": root}
    for split, names in filled.items():
        if len(names) > 1:
            problem = f"{' and '.join(f'{name}/' for name in names)} are both names of the {split} split"
            raise reject("data.root", root, problem, LAYOUT)
    return {split: root / (filled[split] or named[split])[0] for split in SPLITS if split in named}


def look_alike(names: Sequence[str]) -> list[str]:
    """Return groups of names that differ only in case, whitespace or the way Unicode writes a letter, as text."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(plain(name), []).append(repr(name))
    return [" and ".join(group) for group in groups.values() if len(group) > 1]


def alike_in(name: str, classes: Sequence[str]) -> str:
    """Return a note of the class that differs from a name only as in `look_alike`, if there is one."""
    return next((f" (train has {known!r})" for known in classes if plain(known) == plain(name)), "")


def plain(name: str) -> str:
    """Return a name without whitespace and case, its letters written in one way."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def outside_classes(root: Path, parts: dict[str, Path]) -> list[str]:
    """Return the folders that lie beside those of the splits, and the images that lie beside class folders."""
    used = {part.name for part in parts.values()}
    folders = [] if parts["train"] == root else [f"{name}/" for name in class_folders(root) if name not in used]
    images = [path for folder in {root, *parts.values()} for path in folder.glob("[!.]*.*") if is_image_name(path.name)]
    return folders + sorted(os.path.relpath(path, root) for path in images if path.is_file())


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in natural order, without hidden ones and links to what is above."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if Path(entry.path).is_dir() and not ignored(entry.name)]
    links = {name for name in names if (folder / name).is_symlink() and is_above(folder / name, folder)}
    return sorted(set(names) - links, key=natural)
