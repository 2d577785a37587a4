"""Provenance of a run: code version, packages and machine."""

import json
import subprocess
from pathlib import Path

from trainyard.io.files import write_text
from trainyard.run.provenance import collect_provenance, read_git_state


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
