"""Commands in messages can be typed as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.terminal.invocation import command, train_command

REPOSITORY = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def test_commands_in_an_activated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert train_command("model=cnn") == "python train.py model=cnn"
    assert command("runs", "list") == "trainyard runs list"
    monkeypatch.setattr(sys, "argv", [str(BIN / "trainyard")])
    assert train_command("resume=my run") == "trainyard 'resume=my run'"


def test_commands_without_an_activated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.chdir(BIN.parents[1])
    assert train_command("model=cnn") == f"{BIN.parent.name}/bin/{Path(sys.executable).name} train.py model=cnn"
    monkeypatch.chdir("/")
    assert command("runs", "list") == f"{sys.executable.removeprefix('/')} -m trainyard runs list"


def test_commands_with_another_trainyard_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "trainyard").write_text("#!/bin/sh\n")
    (tmp_path / "trainyard").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{BIN}")
    assert command("runs") == "python -m trainyard runs"


def test_train_py_outside_the_environment_prints_how_to_run_it(tmp_path: Path) -> None:
    words = ["-S", "-I", str(REPOSITORY / "train.py"), "model=cnn", "seed=1,2"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "source .venv/bin/activate" in done.stderr
    assert ".venv/bin/python train.py model=cnn seed=1,2" in done.stderr
    assert "make train ARGS='model=cnn seed=1,2'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_a_suggested_command_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    words = [sys.executable, str(REPOSITORY / "train.py"), "model=cnnn", "--cfg", "job"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    typed = done.stderr.partition("  try: ")[2].strip()
    assert typed.startswith(sys.executable)
    again = subprocess.run(
        ["sh", "-c", typed], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert "trainyard.models.cnn.CNN" in again.stdout
