"""A temporary worktree with a commit and its patch leaves no trace."""

from pathlib import Path

import pytest

from tests.history.checkout import Checkout
from trainyard.history.diff import CodeVersion
from trainyard.history.reproduce import checked_out
from trainyard.io.errors import ConfigError
from trainyard.run.provenance import read_git_state, run_git


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


def test_worktree_has_commit_and_patch_and_repository_is_unchanged(checkout: Checkout) -> None:
    before, state = checkout.state(), read_git_state(checkout.folder)
    assert state is not None
    with checked_out(checkout.folder, CodeVersion(state["commit"], state["uncommitted_patch"])) as tree:
        assert (tree / "src" / "trainyard" / "one.py").read_text() == "one = 4\n"
        assert (tree / "binary").read_bytes() == bytes(range(256))
        assert not (tree / "new.py").exists()
    assert not tree.parent.exists()
    assert checkout.state() == before
    first = checkout.git("rev-list", "--max-parents=0", "HEAD").strip()
    with checked_out(checkout.folder, CodeVersion(first)) as tree:
        assert (tree / "src" / "trainyard" / "one.py").read_text() == "one = 1\n"
    assert checkout.state() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_worktree_is_removed_after_any_error(checkout: Checkout, error: type[BaseException]) -> None:
    before = checkout.state()
    commit = checkout.git("rev-parse", "HEAD").strip()
    with pytest.raises(error), checked_out(checkout.folder, CodeVersion(commit)) as tree:  # noqa: PT012
        (tree / "left").touch()
        raise error
    assert not tree.exists()
    assert checkout.state() == before


def test_invalid_patch_leaves_no_worktree(checkout: Checkout) -> None:
    before, state = checkout.state(), read_git_state(checkout.folder)
    assert state is not None
    first = checkout.git("rev-list", "--max-parents=0", "HEAD").strip()
    with (
        pytest.raises(ConfigError, match="git apply failed"),
        checked_out(checkout.folder, CodeVersion(first, state["uncommitted_patch"])),
    ):
        pytest.fail("it cannot be applied")
    assert checkout.state() == before


def test_patch_cannot_write_outside_of_the_worktree(checkout: Checkout, tmp_path: Path) -> None:
    patch = "--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+x\n"
    commit = checkout.git("rev-parse", "HEAD").strip()
    with pytest.raises(ConfigError, match="invalid path"), checked_out(checkout.folder, CodeVersion(commit, patch)):
        pytest.fail("it cannot be applied")


def test_git_hooks_do_not_run(checkout: Checkout) -> None:
    hook = checkout.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    with checked_out(checkout.folder, CodeVersion(checkout.git("rev-parse", "HEAD").strip())) as tree:
        assert not (tree / "hooked").exists()


def test_git_ignores_the_environment_of_a_hook(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Checkout.make(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    assert Path(run_git(checkout.folder / "src", "rev-parse", "--show-toplevel").rstrip("\n")) == checkout.folder
    assert run_git(checkout.folder, "rev-list", "--count", "HEAD").strip() == "2"


def test_the_files_of_a_patch_are_listed(checkout: Checkout) -> None:
    state = read_git_state(checkout.folder)
    assert state is not None
    assert CodeVersion(state["commit"], state["uncommitted_patch"]).patch_summary.endswith(
        "in src/trainyard/one.py, binary"
    )
