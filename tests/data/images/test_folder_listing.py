"""The images of class folders are listed, and invalid folders are rejected."""

import os
import re
from pathlib import Path

import pytest

from trainyard.data.images.folder_listing import FolderListing, list_folder, similar_names
from trainyard.io.errors import ConfigError


def create_files(root: Path, *names: str) -> Path:
    """Create empty files, and folders for names with a slash at the end."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


def describe_files(found: FolderListing) -> list[tuple[str, str, str]]:
    return [(file.path, found.classes[file.label], file.split) for file in found.files]


def test_class_folders_without_splits_are_training_images(tmp_path: Path) -> None:
    found = list_folder(create_files(tmp_path, "dog/2.png", "dog/10.JPG", "cat/1.jpeg"))
    assert found.classes == ("cat", "dog")
    expected = [("cat/1.jpeg", "cat", "train"), ("dog/10.JPG", "dog", "train"), ("dog/2.png", "dog", "train")]
    assert describe_files(found) == expected
    assert (found.empty, found.unknown, found.unused, found.other_files) == ([], [], [], {})


def test_split_folders_are_splits(tmp_path: Path) -> None:
    files = ("train/a/1.png", "train/b/1.png", "val/b/2.png", "test/a/3.png", "test/b/4.png")
    found = list_folder(create_files(tmp_path, *files))
    assert [(file.path, file.label, file.split) for file in found.files] == [
        ("train/a/1.png", 0, "train"),
        ("train/b/1.png", 1, "train"),
        ("val/b/2.png", 1, "val"),
        ("test/a/3.png", 0, "test"),
        ("test/b/4.png", 1, "test"),
    ]


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("val", ["valid", "VALIDATION", "dev", "Eval", "val"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_split_folders_have_several_names(tmp_path: Path, train: str, val: str, test: str) -> None:
    files = {
        f"{train}/a/1.png": "train",
        f"{train}/b/1.png": "train",
        f"{val}/a/1.png": "val",
        f"{test}/b/1.png": "test",
    }
    found = list_folder(create_files(tmp_path, *files))
    assert {file.path: file.split for file in found.files} == files
    assert found.unused == []


def test_a_folder_without_class_folders_is_not_a_split(tmp_path: Path) -> None:
    found = list_folder(create_files(tmp_path, "train/a/1.png", "train/b/1.png", "eval/scores.txt", "val/a/1.png"))
    assert [file.split for file in found.files] == ["train", "train", "val"]
    assert found.unused == ["eval/"]


def test_system_files_are_ignored(tmp_path: Path) -> None:
    left = ("__MACOSX/a/._1.png", "__MACOSX/train/a/1.png", "a/__MACOSX/1.png", "a/@eaDir/1.png/x.jpg", "b/._1.png")
    found = list_folder(create_files(tmp_path, "a/1.png", "b/1.png", *left, ".Trash/a/1.png", "b/.DS_Store"))
    assert (found.classes, len(found.files), found.other_files) == (("a", "b"), 2, {})


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    names = ["class 2", "class 10", "class 1", "Class 3", "a", "A", "10", "9", "²", "ü", "x01", "x1"]
    found = list_folder(create_files(tmp_path, *(f"{name}/1.png" for name in names)))
    expected = ("9", "10", "A", "a", "class 1", "class 2", "Class 3", "class 10", "x01", "x1", "²", "ü")
    assert found.classes == expected


def test_empty_and_unknown_classes_are_listed(tmp_path: Path) -> None:
    files = ("train/a/1.png", "train/b/1.png", "train/c/", "train/d/notes.txt")
    found = list_folder(create_files(tmp_path, *files, "test/a/1.png", "test/b/", "test/c/1.png", "test/z/1.png"))
    assert found.classes == ("a", "b")
    assert found.empty == ["train/c/", "train/d/", "test/b/"]
    assert found.unknown == ["test/c/", "test/z/"]
    assert [file.path for file in found.files] == ["train/a/1.png", "train/b/1.png", "test/a/1.png"]
    assert found.other_files == {".txt": 1}


def test_unusual_names_are_listed(tmp_path: Path) -> None:
    odd = (
        "a b/ü ñ.png",
        "a b/deep/er/x.png",
        "a b/noending",
        "日本/#1 (copy).webp",
        "日本/line,=;'.gif",
        "日本/b.tar.PNG",
    )
    hidden = ("a b/.x.png", "a b/.ipynb_checkpoints/y.png", ".git/z.png", "日本/._b.png")
    no_images = ("a b/notes.txt", "日本/labels.csv", "日本/paper.pdf", "日本/Thumbs.db")
    found = list_folder(create_files(tmp_path, *odd, *hidden, *no_images))
    assert sorted(file.path for file in found.files) == sorted(odd)
    assert found.classes == ("a b", "日本")
    assert found.other_files == {".txt": 1, ".csv": 1, ".pdf": 1, ".db": 1}


def test_file_names_need_not_be_valid_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"a/\xff.png")
    assert name in {file.path for file in list_folder(create_files(tmp_path, name, "b/1.png")).files}


def test_linked_files_and_folders_are_listed(tmp_path: Path) -> None:
    create_files(tmp_path, "store/a/1.png", "store/more/2.png", "set/b/3.png")
    (tmp_path / "set/a").symlink_to(tmp_path / "store/a")
    (tmp_path / "set/b/more").symlink_to(tmp_path / "store/more")
    assert [file.path for file in list_folder(tmp_path / "set").files] == ["a/1.png", "b/3.png", "b/more/2.png"]


def linked(root: Path, links: dict[str, str]) -> None:
    for link, target in links.items():
        (root / link).symlink_to(target)


def test_links_to_parent_folders_are_ignored(tmp_path: Path) -> None:
    root = create_files(tmp_path / "set", "a/1.png", "a/deep/2.png", "b/1.png", "b/in/3.png")
    linked(root, {"loop": ".", "itself": "itself", "a/self": ".", "a/deep/up": "..", "b/root": "../.."})
    found = list_folder(root)
    assert [file.path for file in found.files] == ["a/1.png", "a/deep/2.png", "b/1.png", "b/in/3.png"]
    assert (found.classes, found.empty) == (("a", "b"), [])


def test_each_image_is_listed_once_despite_links(tmp_path: Path) -> None:
    root = create_files(tmp_path / "set", "a/5.png", "b/1.png", "b/in/3.png")
    create_files(tmp_path, "store/7.png")
    links = {"a/0.png": "5.png", "b/0.png": "../a/5.png", "a/8.png": "../../store/7.png", "b/9.png": "../a/8.png"}
    linked(root, {**links, "a/in": "../b/in"})
    found = list_folder(root)
    expected = [("a/5.png", "a"), ("a/8.png", "a"), ("b/1.png", "b"), ("b/in/3.png", "b")]
    assert [(path, name) for path, name, _ in describe_files(found)] == expected
    assert found.repeated == ["a/0.png", "a/in/3.png", "b/0.png", "b/9.png"]


def test_links_to_other_splits_are_ignored(tmp_path: Path) -> None:
    root = create_files(tmp_path / "set", "train/a/1.png", "train/b/1.png", "test/a/2.png")
    linked(root, {"train/a/root": "../..", "train/b/train": "../../train"})
    assert [file.path for file in list_folder(root).files] == ["train/a/1.png", "train/b/1.png", "test/a/2.png"]


def test_cycles_of_links_end(tmp_path: Path) -> None:
    create_files(tmp_path, "store/one/1.png", "store/two/2.png", "set/a/0.png", "set/b/0.png")
    linked(tmp_path, {"store/one/next": "../two", "store/two/next": "../one", "set/a/more": "../../store/one"})
    found = list_folder(tmp_path / "set")
    assert [file.path for file in found.files] == ["a/0.png", "a/more/1.png", "a/more/next/2.png", "b/0.png"]


def test_similar_names_are_found() -> None:
    names = ["Cat", "cat ", "dog", "New York", "new  york", "caf\u00e9", "cafe\u0301", "cow"]
    assert similar_names(names) == ["'Cat' and 'cat '", "'New York' and 'new  york'", "'caf\u00e9' and 'cafe\u0301'"]


def test_splits_may_share_files_by_links(tmp_path: Path) -> None:
    create_files(tmp_path, "store/1.png", "store/2.png", "set/train/a/", "set/train/b/", "set/test/a/")
    links = {"train/a/1.png": "1.png", "train/b/2.png": "2.png", "test/a/1.png": "1.png"}
    linked(tmp_path / "set", {link: f"../../../store/{target}" for link, target in links.items()})
    found = list_folder(tmp_path / "set")
    assert [file.path for file in found.files] == list(links)


def test_a_class_with_a_different_spelling_is_reported(tmp_path: Path) -> None:
    found = list_folder(
        create_files(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/Cat/1.png", "test/dog /1.png")
    )
    assert found.unknown == ["val/Cat/; did you mean cat?", "test/dog /; did you mean dog?"]


def test_heic_files_are_images(tmp_path: Path) -> None:
    found = list_folder(create_files(tmp_path, "a/1.HEIC", "a/2.dng", "b/1.heif", "b/2.png"))
    assert (len(found.files), found.other_files) == (3, {".dng": 1})


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = list_folder(create_files(tmp_path, "bus/1.png", "train/1.png", "test/1.png"))
    assert found.classes == ("bus", "test", "train")
    assert {file.split for file in found.files} == {"train"}


def test_unused_files_and_folders_are_listed(tmp_path: Path) -> None:
    inside = ("train/a/1.png", "train/b/1.png", "test/a/1.png")
    found = list_folder(
        create_files(tmp_path, *inside, "more/a/1.png", "0.png", "test/7.jpg", "README.md", ".DS_Store")
    )
    assert found.unused == ["more/", "0.png", "test/7.jpg"]
    assert len(found.files) == len(inside)


@pytest.mark.parametrize(
    ("files", "root", "problem"),
    [
        (["flowers/a/1.png"], "flowrs", "there is no folder .*/flowrs; did you mean flowers"),
        ([], "nowhere/at/all", "there is no folder .*/nowhere/at/all$"),
        (["x.png"], "x.png", "it is not a folder"),
        (["only/a/1.png", "only/b/"], "only", "class folders with images: a, at least two are needed"),
        (["x/1.png", "x/2.png"], "x", "class folders with images: none, at least two are needed"),
        (["x/train/a/1.png", "x/test/b/1.png"], "x", "class folders with images: a, at least two are needed"),
        (["x/train/1.png", "x/test/2.png"], "x", "test, train are names of splits"),
        (["x/Test/a/1.png", "x/Valid/a/1.png"], "x", "Test, Valid are names of splits"),
        (
            ["x/train/a/1.png", "x/val/a/1.png", "x/Valid/b/1.png"],
            "x",
            "val/ and Valid/ are both names of the val split",
        ),
        (
            ["x/a/1.svg", "x/b/1.svg", "x/b/2.txt"],
            "x",
            r"needed \(and 2 .svg, 1 .txt, which are not images\)",
        ),
    ],
)
def test_invalid_folders_are_rejected(tmp_path: Path, files: list[str], root: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        list_folder(create_files(tmp_path, *files) / root)
    first, second = str(refused.value).splitlines()
    assert first.startswith(f"data.root={tmp_path / root}: ")
    assert re.search(problem, first)
    assert second.startswith("  accepted: a folder with a folder of images for each class, or with such")


def test_an_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_files(tmp_path, "a/1.png", "b/closed/1.png")
    scandir = os.scandir

    def guarded(path: str | Path) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/b/closed cannot be read \(Permission denied\)\n  accepted"):
        list_folder(tmp_path)
