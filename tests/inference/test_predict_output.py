"""A file of predictions is there whole or not at all, and never where it would do harm."""

import os
from pathlib import Path

import pytest

from trainyard.errors import ConfigError
from trainyard.inference.predict import check_output, open_output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def interrupted(path: Path, error: type[BaseException]) -> None:
    with open_output(path) as stream:
        stream.write("half")
        raise error


def test_a_file_takes_its_name_when_it_is_whole(here: Path) -> None:
    (here / "out.csv").write_text("before")
    with open_output(here / "out.csv") as stream:
        stream.write("a\r\nä\udcff")
        assert (here / "out.csv").read_text() == "before"
        assert len(names(here)) == 2
    assert names(here) == ["out.csv"]
    assert (here / "out.csv").read_bytes() == "a\r\nä\\udcff".encode()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_whatever_ends_it_leaves_what_was_there(here: Path, error: type[BaseException]) -> None:
    (here / "out.csv").write_text("before")
    with pytest.raises(error):
        interrupted(here / "out.csv", error)
    assert names(here) == ["out.csv"]
    assert (here / "out.csv").read_text() == "before"


def test_a_full_disk_is_said(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"--output=.*out.csv: cannot be written \(No space left"):  # noqa: SIM117
        with open_output(here / "out.csv"):
            raise OSError(28, os.strerror(28))
    assert names(here) == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("nowhere/out.csv", "no such folder: .*/nowhere"),
        ("in.csv/out.csv", "no such folder: .*/in.csv"),
        ("folder", "a folder"),
        (os.devnull, "not a regular file"),
        ("in.csv", "it is one of the inputs"),
        ("folder/../in.csv", "it is one of the inputs"),
        ("link.csv", "it is one of the inputs"),
        ("hard.csv", "it is one of the inputs"),
    ],
)
def test_refuses_other_places(here: Path, output: str, said: str) -> None:
    (here / "folder").mkdir()
    (here / "in.csv").write_text("a")
    (here / "link.csv").symlink_to("in.csv")
    os.link("in.csv", "hard.csv")
    with pytest.raises(ConfigError, match=f"^--output={output}: {said}\n  accepted: a file in an existing folder"):
        check_output(Path(output), [Path("-"), Path("gone.png"), Path("in.csv")])


def test_a_link_stays_a_link(here: Path) -> None:
    (here / "link.csv").symlink_to("target.csv")
    with open_output(check_output(Path("link.csv"), [])) as stream:
        stream.write("x")
    assert (here / "link.csv").is_symlink()
    assert (here / "target.csv").read_text() == "x"


def test_without_a_file_it_is_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as stream:
        stream.write("ä\n")
    assert capsys.readouterr().out == "ä\n"
