"""Lists the image files of a folder, and of folders with one folder per class."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from PIL import Image

from trainyard.io.errors import config_error, did_you_mean, join_limited
from trainyard.io.files import natural_key

SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
HEIC = {".heic", ".heif"}  # listed although Pillow needs a plugin for them, so that photos of phones are not ignored
SPLITS = ("train", "val", "test")
SPLIT_NAMES = {  # of folders, in any case
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LAYOUT = "a folder with a folder of images for each class, or with such folders in train/, test/ and optionally val/"


@dataclass(frozen=True)
class ImageFile:
    """One image file: its path below the root, its class, and `train`, `val` or `test`."""

    path: str
    label: int
    split: str


@dataclass
class FolderListing:
    """The image files of a folder, in a fixed order."""

    classes: tuple[str, ...] = ()  # in natural order (`class2` before `class10`)
    files: list[ImageFile] = field(default_factory=list)  # of the classes of the training split
    empty: list[str] = field(default_factory=list)  # class folders without images
    unknown: list[str] = field(default_factory=list)  # class folders of val or test that are not in train
    unused: list[str] = field(default_factory=list)  # images and folders outside of class folders
    repeated: list[str] = field(default_factory=list)  # links to images that are listed at another place of the split
    other_files: Counter[str] = field(default_factory=Counter)  # suffixes of files that are not images


def list_folder(root: Path) -> FolderListing:
    """List the images of the class folders in `root`, or in its `train/`, `val/` and `test/`.

    Raises:
        ConfigError: the folder does not exist, has fewer than two classes, contains two folders for the same split, or
            contains a folder that cannot be read.
    """
    result = FolderListing()
    try:
        check_is_folder(root)
        split_roots = find_split_folders(root)
        images = {split: images_by_class(root, folder, result) for split, folder in split_roots.items()}
        result.unused = unused_entries(root, split_roots)
    except OSError as error:
        raise config_error("data.root", root, f"{error.filename} cannot be read ({error.strerror})", LAYOUT) from error
    result.classes = tuple(name for name, paths in images["train"].items() if paths)
    if len(result.classes) < 2:
        problem = f"class folders with images: {join_limited(result.classes) or 'none'}, at least two are needed"
        if result.other_files:
            counts = (f"{count} {suffix}" for suffix, count in result.other_files.most_common())
            problem += f" (and {join_limited(counts)}, which are not images)"
        raise config_error("data.root", root, problem, LAYOUT)
    if split_roots["train"] == root and all(split_of(name) for name in result.classes):
        problem = f"{join_limited(result.classes)} are names of splits, not of classes"
        raise config_error("data.root", root, problem, LAYOUT)
    for split, classes in images.items():
        for name, paths in classes.items():
            folder = os.path.relpath(split_roots[split] / name, root) + "/"
            if not paths:
                result.empty.append(folder)
            elif name not in result.classes:
                result.unknown.append(folder + did_you_mean(name.strip(), result.classes))
            else:
                label, prefix = result.classes.index(name), os.path.join(root, "")  # noqa: PTH118  a Path has no final slash
                result.files += [ImageFile(path.removeprefix(prefix), label, split) for path in paths]
    return result


def check_is_folder(root: Path) -> None:
    """Raise a ConfigError if the folder does not exist."""
    if not root.exists():
        hint = did_you_mean(root.name, subfolders(root.parent)) if root.parent.is_dir() else ""
        raise config_error("data.root", root, f"there is no folder {root.absolute()}{hint}", LAYOUT)
    if not root.is_dir():
        raise config_error("data.root", root, "it is not a folder", LAYOUT)


def find_split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; if there is no `train` folder with class folders, `root` is `train`."""
    named: dict[str, list[str]] = {}
    for name in subfolders(root):
        if split := split_of(name):
            named.setdefault(split, []).append(name)
    filled = {split: [name for name in names if subfolders(root / name)] for split, names in named.items()}
    if not filled.get("train"):
        return {"train": root}
    for split, names in filled.items():
        if len(names) > 1:
            problem = f"{' and '.join(f'{name}/' for name in names)} are both names of the {split} split"
            raise config_error("data.root", root, problem, LAYOUT)
    return {split: root / (filled[split] or named[split])[0] for split in SPLITS if split in named}


def images_by_class(root: Path, folder: Path, result: FolderListing) -> dict[str, list[str]]:
    """Return the paths of the images in each class folder; add links to them and other files to `result`.

    A file and the links to it are one image: at its own place, or at the first link if that is elsewhere.
    """
    files = {name: list(find_files(folder / name)) for name in subfolders(folder)}
    prefix, real_prefix = os.path.join(folder, ""), os.path.join(os.path.realpath(folder), "")  # noqa: PTH118
    places: dict[str, str] = {}
    for path, real in chain.from_iterable(files.values()):
        if real not in places or real == real_prefix + path.removeprefix(prefix):
            places[real] = path
    images: dict[str, list[str]] = {name: [] for name in files}
    for name, paths in files.items():
        for path, real in paths:
            if not is_image_name(path):
                result.other_files[Path(path).suffix.lower()] += 1
            elif places[real] == path:
                images[name].append(path)
            else:
                result.repeated.append(os.path.relpath(path, root))
    return images


def unused_entries(root: Path, split_roots: dict[str, Path]) -> list[str]:
    """Return the folders beside split folders, and the images beside class folders."""
    used = {folder.name for folder in split_roots.values()}
    folders = [] if split_roots["train"] == root else [f"{name}/" for name in subfolders(root) if name not in used]
    parents = {root, *split_roots.values()}
    images = [parent / name for parent in parents for name in scan(parent)[0] if "." in name and is_image_name(name)]
    return folders + sorted(os.path.relpath(path, root) for path in images)


def split_of(name: str) -> str | None:
    """Return the split whose name a folder has, if any."""
    return SPLIT_NAMES.get(name.strip().casefold())


def similar_names(names: Sequence[str]) -> list[str]:
    """Return groups of names that differ only in case, whitespace or Unicode normalisation."""
    groups: dict[str, list[str]] = {}
    for name in names:
        normalized = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        groups.setdefault(normalized, []).append(repr(name))
    return [" and ".join(group) for group in groups.values() if len(group) > 1]


def find_files(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield the path and the real path of the files of a folder, sorted, then those of its subfolders.

    Links to folders `above` are not followed.
    """
    real = os.path.realpath(folder)
    if real not in above:
        files, folders = scan(folder)
        for name in files:
            path = os.path.join(folder, name)  # noqa: PTH118  faster than Path
            is_link = os.path.islink(path)  # noqa: PTH114
            yield path, os.path.realpath(path) if is_link else os.path.join(real, name)  # noqa: PTH118
        for name in folders:
            yield from find_files(folder / name, above | {real})


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder in natural order."""
    return sorted(scan(folder)[1], key=natural_key)


def scan(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted names of the files and folders in a folder, or raise an OSError.

    Hidden and system entries and links to parent folders are left out.
    """
    real = Path(os.path.realpath(folder))
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            link = entry.is_symlink()
            if entry.name.startswith(".") or entry.name in SYSTEM_FOLDERS:
                continue
            if not (os.path.isdir(entry.path) if link else entry.is_dir()):  # noqa: PTH112  circular links are files
                files.append(entry.name)
            elif not (link and real.is_relative_to(os.path.realpath(entry.path))):
                folders.append(entry.name)
    return sorted(files), sorted(folders)


def is_image_name(path: str) -> bool:
    """Whether a file has no suffix, one of an image that Pillow reads, or one of HEIC."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  faster than Path
    return not suffix or suffix in HEIC or Image.registered_extensions().get(suffix) in Image.OPEN
