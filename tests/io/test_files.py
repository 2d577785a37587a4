"""Atomic writes, drafts, and the pointer to the latest run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.io.files import point_to, remove_stale_drafts, write_json


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "result.json", {"status": "completed"})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_json(tmp_path / "result.json", {"status": "failed"})
    assert json.loads((tmp_path / "result.json").read_text()) == {"status": "completed"}


def test_drafts_of_ended_processes_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    forms = ("last.ckpt.{}.draft", ".result.{}.draft.json")
    kept = {form.format(living.pid) for form in forms} | {"notes.draft", ".cache.1", "draft", ".3.removed", "last.ckpt"}
    for folder in (tmp_path, tmp_path / "checkpoints", tmp_path / "checkpoints" / "mine"):
        folder.mkdir(exist_ok=True)
        for name in (*kept, *(form.format(gone.pid) for form in forms)):
            (folder / name).touch()
    remove_stale_drafts(tmp_path, depth=1)
    living.communicate()
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "checkpoints"}
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {*kept, "mine"}
    assert len(list((tmp_path / "checkpoints" / "mine").iterdir())) == len(kept) + len(forms), "not of this run"


def test_pointer_moves_to_the_latest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        point_to(tmp_path / "latest", tmp_path / "runs" / name)
        assert (tmp_path / "latest").resolve() == tmp_path / "runs" / name
    assert (tmp_path / "latest").readlink() == Path("runs/second")


def test_pointer_is_a_text_file_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    point_to(tmp_path / "latest", tmp_path / "runs" / "first")
    assert (tmp_path / "latest").read_text() == "runs/first\n"
