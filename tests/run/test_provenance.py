"""Provenance of a run: code version, packages and machine."""

import json
import subprocess
from pathlib import Path

import pytest

from trainyard.io.files import write_text
from trainyard.run.provenance import collect_provenance, describe_user_code, read_git_state


def test_provenance_contains_commit_patch_and_untracked_files(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert read_git_state(tmp_path) is None
    git("init")
    write_text(tmp_path / "code.py", "one = 1\n")
    git("add", ".")
    git("commit", "-m", "one")
    write_text(tmp_path / "code.py", "one = 2\n")
    write_text(tmp_path / "new.py", "")
    state = read_git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert "+one = 2" in state["uncommitted_patch"]
    assert state["untracked"] == ["new.py"]


def test_provenance_is_json() -> None:
    content = json.loads(json.dumps(collect_provenance()))
    assert {"command", "git", "python", "packages", "hardware"} <= set(content)
    assert content["packages"]["trainyard"]


def test_own_code_is_described_by_path_digest_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_code_of_mine"
    (package / "deeper").mkdir(parents=True)
    (package / "deeper" / "net.py").write_text("one = 1\n")
    (tmp_path / "own_module_of_mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("own_code_of_mine", "own_module_of_mine", "torchvision", "nowhere", "__main__", "builtins", "os")
    before = describe_user_code(names)
    assert {name: state["path"] for name, state in before.items()} == {
        "own_code_of_mine": str(package),
        "own_module_of_mine": str(tmp_path / "own_module_of_mine.py"),
    }
    assert "commit" not in before["own_code_of_mine"]
    assert not (tmp_path / "ran").exists(), "nothing is imported"
    (package / "notes.txt").write_text("no code")
    assert describe_user_code(names) == before
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    committed = describe_user_code(names)["own_code_of_mine"]
    assert (len(committed["commit"]), committed["uncommitted"]) == (40, False)
    (package / "deeper" / "net.py").rename(package / "net.py")
    changed = describe_user_code(names)["own_code_of_mine"]
    assert (changed["commit"], changed["uncommitted"]) == (committed["commit"], True)
    assert changed["digest"] != committed["digest"] == before["own_code_of_mine"]["digest"]
