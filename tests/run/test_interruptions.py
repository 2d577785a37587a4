"""SIGINT, SIGTERM and SIGHUP at every stage of a command: exit code, messages and files."""

import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainyard.cli.main import main
from trainyard.cli.process import command

REPOSITORY = Path(__file__).parents[2]
TINY = ("model=mlp", "model.hidden_dims=[8]", "trainer.max_epochs=2", "callbacks=none", "hydra.run.dir=run")
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
CLASSIFIER = "trainyard.models.supervised:SupervisedModel"
POINTS = {  # the function whose first call sends the signal, and the status of the run afterwards
    "composition": ("trainyard.cli.train:check_run_key", None),
    "data": ("trainyard.run.training:report_data", "interrupted"),
    "trainer": ("trainyard.run.training:check_batches", "interrupted"),
    "sanity check": ("lightning.pytorch.trainer.trainer:Trainer._run_sanity_check", "interrupted"),
    "step": (f"{CLASSIFIER}.training_step", "interrupted"),
    "validation": (f"{CLASSIFIER}.validation_step", "interrupted"),
    "end of training": ("trainyard.callbacks.graceful_stop:GracefulStop.on_train_end", "interrupted"),
    "test": (f"{CLASSIFIER}.test_step", "interrupted"),
    "end of the test": ("trainyard.run.training:write_hparams", "interrupted"),
    "result": ("trainyard.run.run:write_json", "completed"),
}


def run_train(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command line, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def at_first_call(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], object]) -> None:
    """Call `act` before the first call of a function."""
    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner = pkgutil.resolve_name(f"{module}:{'.'.join(owners)}" if owners else module)
    original = getattr(owner, name)
    calls: list[object] = []

    def called(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            act()
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in SIGNALS[1:])])
@pytest.mark.parametrize("point", POINTS)
def test_exit_code_of_an_interrupted_run(
    point: str, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    function, status = POINTS[point]
    at_first_call(monkeypatch, function, lambda: os.kill(os.getpid(), number))
    assert run_train(monkeypatch, *TINY) == 128 + number
    screen, errors = capfd.readouterr()
    assert "Traceback" not in screen + errors
    file = tmp_path / "run" / "result.json"
    assert (json.loads(file.read_text())["status"] if file.is_file() else None) == status
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run_train(monkeypatch, *TINY) == 0
    assert json.loads(file.read_text())["status"] == "completed"


def test_exit_code_when_a_library_raises_another_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A DataLoader raises a RuntimeError when the signal has ended its workers."""

    def kill() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit as error:
            raise RuntimeError("a worker is gone") from error

    monkeypatch.chdir(tmp_path)
    for point in ("trainyard.cli.train:check_run_key", "trainyard.run.training:report_data"):
        at_first_call(monkeypatch, point, kill)
        assert run_train(monkeypatch, *TINY) == 143
        assert "a worker is gone" not in "".join(capfd.readouterr())
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("number", SIGNALS)
def test_exit_code_of_other_commands(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, command():
        os.kill(os.getpid(), number)
    assert end.value.code == 128 + number
    assert capfd.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_stays_ignored(number: int) -> None:
    """nohup ignores SIGHUP, and a shell ignores SIGINT for background processes."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with command():
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


STARTS = """
import atexit, importlib.abc, os, sys

def kill():
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == os.environ["AT"]:
            kill()

sys.meta_path.insert(0, Finder())
if os.environ["AT"] == "exit":
    atexit.register(kill)
from trainyard.cli.main import main
main()
"""


def test_signals_during_imports_and_at_exit(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(STARTS)
    for module, number in (("hydra", signal.SIGINT), ("lightning", signal.SIGTERM), ("exit", signal.SIGINT)):
        done = subprocess.run(
            [sys.executable, str(script), *TINY, "trainer=quick"],
            cwd=tmp_path,
            env={**os.environ, "AT": module, "SIGNAL": str(int(number)), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 128 + number, done.stderr
        assert done.stderr == ("" if module == "exit" else "interrupted\n")
