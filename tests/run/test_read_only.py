"""Outputs that cannot be written: one sentence, exit code 1, no incomplete files."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Compose
from trainyard.cli.train import main
from trainyard.run.training import train

TINY = ("model.hidden_dims=[4]", "trainer.max_epochs=1", "callbacks=none")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that is mounted read-only, also for root."""
    place, source = tmp_path / "read_only", tmp_path / "source"
    place.mkdir()
    source.mkdir(exist_ok=True)
    commands = ["mount", "--bind", source, place], ["mount", "-o", "remount,ro,bind", place]
    try:
        mounted = [subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands]
    except FileNotFoundError:
        mounted = [False]
    if not all(mounted):
        pytest.skip("cannot mount on this machine")
    yield place
    subprocess.run(["umount", place], check=True)


def run_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py", *TINY, *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), capsys.readouterr().err


def test_a_read_only_disk_is_reported(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, errors = run_train(monkeypatch, capsys, f"hydra.run.dir={read_only}/run")
    assert code == 1
    assert "cannot be written (Read-only file system)\n  accepted: a folder that you may write to" in errors
    monkeypatch.chdir(read_only)
    code, errors = run_train(monkeypatch, capsys)
    assert (code, len(errors.splitlines())) == (1, 2)
    assert "outputs cannot be written (Read-only file system)" in errors


@pytest.mark.parametrize("place", ["in_the_way", "in_the_way/run"])
def test_a_file_at_the_path_of_the_run_is_reported(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in_the_way").write_text("mine")
    code, errors = run_train(monkeypatch, capsys, f"hydra.run.dir={tmp_path / place}")
    assert code == 1
    assert "accepted: a folder that you may write to" in errors
    assert (tmp_path / "in_the_way").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_errors_of_mkdir_are_reported(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str, *more: object, **others: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    code, errors = run_train(monkeypatch, capsys, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 1
    assert f"cannot be written ({os.strerror(number)})" in errors


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("evaluate", ["{run}"]),
        ("export", ["{run}", "--format", "torch"]),
        ("predict", ["{run}", "rows.csv", "--output", "{run}/answers.csv"]),
    ],
)
def test_commands_on_a_read_only_run(
    command: str, words: list[str], run_command, compose_run: Compose, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    train(compose_run(*TINY, "data=penguins", folder="source"))
    place = request.getfixturevalue("read_only")
    before = sorted(place.rglob("*"))
    names = "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g"
    (tmp_path / "rows.csv").write_text(f"{names}\n40,18,190,3700\n")
    code, _, errors = run_command(command, *(word.format(run=place) for word in words))
    assert code == 1
    assert "cannot be written (Read-only file system)" in errors
    assert "Traceback" not in errors
    assert sorted(place.rglob("*")) == before
