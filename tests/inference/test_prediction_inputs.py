"""Arguments become a list of files in order, or one error that lists all problems."""

import os
from pathlib import Path

import pytest

from trainyard.inference.prediction_inputs import InputFile, check_kind, find_inputs
from trainyard.io.errors import ConfigError

FILES = ("photos/10.png", "photos/2.png", "photos/b/1.JPG", "photos/notes.md", "photos/.hidden.png", "a.csv", "b.tsv")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images, tables and others."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["photos"], ["photos/2.png", "photos/10.png", "photos/b/1.JPG"]),
        (["photos/", "./a.csv"], ["photos/2.png", "photos/10.png", "photos/b/1.JPG", "./a.csv"]),
        (["photos/*.png"], ["photos/2.png", "photos/10.png"]),
        (["**/*.JPG"], ["photos/b/1.JPG"]),
        (["photos/**"], ["photos/2.png", "photos/10.png", "photos/b/1.JPG"]),
        (["*.?sv"], ["a.csv", "b.tsv"]),
        (["b.tsv", "-", "a.csv", "a.csv"], ["b.tsv", "-", "a.csv", "a.csv"]),
    ],
)
def test_files_are_found_in_order(words: list[str], names: list[str]) -> None:
    assert [file.name for file in find_inputs(words)] == names


def test_existing_file_is_not_a_pattern(here: Path) -> None:
    (here / "[2].png").touch()
    assert find_inputs(["[2].png"]) == [InputFile("[2].png", "images")]


def test_home_directory_is_expanded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert find_inputs(["~/*.csv"]) == [InputFile(f"{here}/a.csv", "rows")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photos/3.png"], "photos/3.png: no such file; did you mean "),
        (["a.cvs"], "a.cvs: no such file; did you mean a.csv?"),
        (["nowhere/a.csv"], "nowhere/a.csv: no such file\n"),
        (["*.jpg"], r"\*.jpg: matches no image and no table"),
        (["photos/*.md"], r"photos/\*.md: matches no image and no table"),
        (["em*"], r"em\*: matches no image and no table"),
        (["empty"], "empty: a folder without images"),
        (["photos/notes.md"], "photos/notes.md: .md is not an extension of an image or a table"),
        ([""], "'': no such file"),
        (["-", "-"], "- is given 2 times"),
    ],
)
def test_problem_with_an_input_is_described(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"INPUT: {message}") as caught:
        find_inputs(words)
    assert str(caught.value).count("\n") == 1


def test_all_problems_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        find_inputs(["a.csv", "c.csv", "*.gif", "empty"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "INPUT: 3 problems"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["c.csv", "*.gif", "empty", "accepted"]


def test_pipes_and_broken_links_are_rejected() -> None:
    os.mkfifo("pipe.csv")
    Path("dead.png").symlink_to("gone.png")
    with pytest.raises(ConfigError, match=r"pipe.csv: not a regular file\n  dead.png: a broken link"):
        find_inputs(["pipe.csv", "dead.png"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any folder")
def test_unreadable_folder_is_reported() -> None:
    Path("photos/b").chmod(0)
    with pytest.raises(ConfigError, match=r"photos/b cannot be read \(Permission denied\)"):
        find_inputs(["photos"])


def test_inputs_of_the_wrong_kind_are_listed() -> None:
    files = find_inputs(["photos/2.png", "a.csv", "b.tsv", "-"])
    with pytest.raises(ConfigError, match=r"INPUT: photos/2\.png is an image, and latest takes rows"):
        check_kind(files, "rows", "latest")
    with pytest.raises(ConfigError, match=r"INPUT: 3 problems\n  a.csv is a table, and latest takes images\n  b.tsv"):
        check_kind(files, "images", "latest")
