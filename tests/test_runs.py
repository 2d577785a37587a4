"""The files of a run: whole or not there, and true."""

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Compose
from trainyard.io.files import point_to, remove_stale_drafts, write_json, write_text
from trainyard.run.provenance import git_state, provenance
from trainyard.run.training import train
from trainyard.terminal.logs import close_log, open_log, prepare_output


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "result.json", {"status": "completed"})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_json(tmp_path / "result.json", {"status": "failed"})
    assert json.loads((tmp_path / "result.json").read_text()) == {"status": "completed"}


def test_temporary_files_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
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


def test_the_pointer_moves_to_the_latest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        point_to(tmp_path / "latest", tmp_path / "runs" / name)
        assert (tmp_path / "latest").resolve() == tmp_path / "runs" / name
    assert (tmp_path / "latest").readlink() == Path("runs/second")


def test_the_pointer_is_a_text_where_links_do_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    point_to(tmp_path / "latest", tmp_path / "runs" / "first")
    assert (tmp_path / "latest").read_text() == "runs/first\n"


def test_provenance_holds_commit_patch_and_untracked_files(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert git_state(tmp_path) is None
    git("init")
    write_text(tmp_path / "code.py", "one = 1\n")
    git("add", ".")
    git("commit", "-m", "one")
    write_text(tmp_path / "code.py", "one = 2\n")
    write_text(tmp_path / "new.py", "")
    state = git_state(tmp_path)
    assert state is not None
    assert len(state["commit"]) == 40
    assert "+one = 2" in state["uncommitted_patch"]
    assert state["untracked"] == ["new.py"]


def test_provenance_is_json() -> None:
    content = json.loads(json.dumps(provenance()))
    assert {"command", "git", "python", "packages", "hardware"} <= set(content)
    assert content["packages"]["trainyard"]


def test_what_a_terminal_cannot_show_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    prepare_output()
    print("0.5 ± 0.1", flush=True)
    assert shown.getvalue() == b"0.5 ? 0.1\n"


def test_the_log_has_dates_the_screen_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handlers = open_log(tmp_path / "run.log")
    logging.getLogger("trainyard.test").info("hello")
    logging.getLogger("lightning.pytorch").info("GPU available: False")
    close_log(handlers)
    logging.getLogger("trainyard.test").info("after the end")
    assert capsys.readouterr().out == "hello\n"
    log = (tmp_path / "run.log").read_text()
    assert log.endswith("INFO    trainyard.test: hello\n")
    assert log.startswith("20")
    assert "GPU" not in log


def test_a_run_whose_validation_is_no_number_has_failed(compose_run: Compose, tmp_path: Path) -> None:
    """Without the callback that looks at each loss."""
    with pytest.raises(FloatingPointError, match=r"val/loss is (nan|inf)"):
        train(compose_run("callbacks=none", "optimizer=sgd", "optimizer.lr=1e20"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert "val/loss" in result["error"]
