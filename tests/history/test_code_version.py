"""The code of two runs, by commit, patch and untracked files."""

from pathlib import Path

import pytest

from tests.history.checkout import Checkout
from tests.history.recorded import record
from trainyard.history.diff import CodeVersion, code_changes, list_files
from trainyard.run.provenance import git_state


def test_commits_are_counted_and_files_that_matter_come_first(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    first = record(tmp_path / "first", provenance={"git": git_state(checkout.folder)})
    for name in ("docs/a.md", "conf/model/b.yaml"):
        (checkout.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.folder / name).touch()
        checkout.commit(name)
    checkout.edit("src/trainyard/one.py", "1", "2")
    commit = checkout.commit("three")
    second = record(tmp_path / "second", provenance={"git": git_state(checkout.folder)})
    start = first.provenance["git"]["commit"]
    lines = [
        f"commit {start[:10]} -> {commit[:10]} (3 commits more, 0 less)",
        "changed files: conf/model/b.yaml, src/trainyard/one.py, docs/a.md",
    ]
    assert code_changes(first, second, checkout.folder) == lines
    assert (code_changes(second, first, checkout.folder) or [""])[0].endswith("(0 commits more, 3 less)")
    checkout.git("checkout", "-q", start)
    (checkout.folder / "c").touch()
    checkout.commit("beside")
    beside = record(tmp_path / "beside", provenance={"git": git_state(checkout.folder)})
    assert (code_changes(beside, second, checkout.folder) or [""])[0].endswith("(3 commits more, 1 less)")
    assert code_changes(first, first, checkout.folder) == []
    [line] = code_changes(first, second, tmp_path) or []
    assert line.endswith("not both of which are in this repository")


def test_patches_and_untracked_files(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    clean = record(tmp_path / "clean", provenance={"git": git_state(checkout.folder)})
    checkout.edit("src/trainyard/one.py", "one = 1", "one = 1\n--two = 2\n++three = 3")
    (checkout.folder / "mine.py").touch()
    dirty = record(tmp_path / "dirty", provenance={"git": git_state(checkout.folder)})
    assert code_changes(clean, dirty, checkout.folder) == [
        "no patch -> a patch of 2 lines in src/trainyard/one.py",
        "untracked files of one run: mine.py",
    ]
    assert code_changes(dirty, dirty, checkout.folder) == []


def test_installed_packages_have_no_commit(tmp_path: Path) -> None:
    checked, installed = record(tmp_path / "a"), record(tmp_path / "b", provenance={"git": None})
    assert code_changes(checked, installed) == [f"commit {'a' * 10} -> an installed package"]
    assert code_changes(installed, installed) is None


@pytest.mark.parametrize("commit", ["--output=/tmp/x", "", None, "HEAD", "g" * 40])
def test_what_is_not_a_commit_is_not_passed_to_git(tmp_path: Path, commit: object) -> None:
    assert CodeVersion.of(record(tmp_path / "run", provenance={"git": {"commit": commit}})) is None


def test_a_patch_that_git_cannot_read_is_described_all_the_same() -> None:
    patch = "+not a patch\n"
    assert CodeVersion("a" * 40, patch).patch_summary == "a patch of 1 lines, which git cannot read"


def test_files_of_the_package_and_its_configs_come_first() -> None:
    assert list_files(["README.md", "src/b", "conf/a", "docs/c"]) == "conf/a, src/b, README.md and 1 more"
