"""A commit with a patch lies in a folder for a while, and leaves no trace."""

from pathlib import Path

import pytest

from tests.history.checkout import Checkout
from trainyard.errors import ConfigError
from trainyard.history.worktree import check_commit, checked_out, git, patched_files, repository_of
from trainyard.provenance import git_state


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository with two commits, and changes that are staged, unstaged and new."""
    made = Checkout.make(tmp_path / "project")
    made.edit("src/trainyard/one.py", "1", "2")
    made.commit("a second commit")
    made.edit("src/trainyard/one.py", "2", "3")
    made.git("add", "-A")
    made.edit("src/trainyard/one.py", "3", "4")
    (made.folder / "binary").write_bytes(bytes(range(256)))
    made.git("add", "-N", "binary")
    (made.folder / "new.py").write_text("new = 1\n")
    return made


def test_holds_commit_and_patch_and_spares_the_repository(checkout: Checkout) -> None:
    before, state = checkout.state(), git_state(checkout.folder)
    assert state is not None
    with checked_out(checkout.folder, state["commit"], state["uncommitted_patch"]) as tree:
        assert (tree / "src" / "trainyard" / "one.py").read_text() == "one = 4\n"
        assert (tree / "binary").read_bytes() == bytes(range(256))
        assert not (tree / "new.py").exists()
    assert not tree.parent.exists()
    assert checkout.state() == before
    first = checkout.git("rev-list", "--max-parents=0", "HEAD").strip()
    with checked_out(checkout.folder, first, "") as tree:
        assert (tree / "src" / "trainyard" / "one.py").read_text() == "one = 1\n"
    assert checkout.state() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_goes_however_it_ends(checkout: Checkout, error: type[BaseException]) -> None:
    before = checkout.state()
    commit = checkout.git("rev-parse", "HEAD").strip()
    with pytest.raises(error), checked_out(checkout.folder, commit, "") as tree:  # noqa: PT012
        (tree / "left").touch()
        raise error
    assert not tree.exists()
    assert checkout.state() == before


def test_a_patch_that_does_not_fit_leaves_nothing(checkout: Checkout) -> None:
    before, state = checkout.state(), git_state(checkout.folder)
    assert state is not None
    first = checkout.git("rev-list", "--max-parents=0", "HEAD").strip()
    with (
        pytest.raises(ConfigError, match="git apply failed"),
        checked_out(checkout.folder, first, state["uncommitted_patch"]),
    ):
        pytest.fail("it cannot be applied")
    assert checkout.state() == before


def test_a_patch_cannot_reach_out_of_the_folder(checkout: Checkout, tmp_path: Path) -> None:
    patch = "--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+x\n"
    commit = checkout.git("rev-parse", "HEAD").strip()
    with pytest.raises(ConfigError, match="invalid path"), checked_out(checkout.folder, commit, patch):
        pytest.fail("it cannot be applied")


def test_no_hook_runs(checkout: Checkout) -> None:
    hook = checkout.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    with checked_out(checkout.folder, checkout.git("rev-parse", "HEAD").strip(), "") as tree:
        assert not (tree / "hooked").exists()


def test_what_a_hook_says_of_its_repository_is_not_heard(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Checkout.make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    assert repository_of(checkout.folder / "src") == checkout.folder
    assert git(checkout.folder, "rev-list", "--count", "HEAD").strip() == "2"


def test_names_the_files_of_a_patch(checkout: Checkout) -> None:
    state = git_state(checkout.folder)
    assert state is not None
    assert patched_files(state["uncommitted_patch"]) == ["binary", "src/trainyard/one.py"]
    assert patched_files("") == []
    with pytest.raises(ConfigError, match="git apply failed"):
        patched_files("no patch at all\n")


def test_a_commit_of_another_repository_is_not_here(checkout: Checkout, tmp_path: Path) -> None:
    check_commit(checkout.folder, checkout.git("rev-parse", "HEAD").strip(), "one")
    with pytest.raises(ConfigError, match=r"RUN=one: its commit aaaaaaaaaa is not in .*\n.*git fetch"):
        check_commit(checkout.folder, "a" * 40, "one")
    assert repository_of(tmp_path) is None
