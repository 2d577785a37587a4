"""Trained runs for the cases of bad input, and a fixture that runs their commands."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bad_input.cases import Case
from trainyard.cli import main as cli
from trainyard.cli import train as training
from trainyard.config.composition import compose
from trainyard.run.training import train

TIMEOUT = 600  # seconds
TINY = ["model.hidden_dims=[4]", "callbacks=none", "logger=csv", "trainer.max_epochs=1", "accelerator=cpu"]
RUNS = {"rows": ["data=penguins"], "images": ["model=cnn", "model.channels=[4]"]}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train a run on each kind of data; return the directories by name."""
    folder = tmp_path_factory.mktemp("trained")
    for name, words in RUNS.items():
        train(compose([*TINY, *words, f"hydra.run.dir={folder / name}"]))
    return {name: folder / name for name in RUNS}


class CaseTimeout(BaseException):
    """A case takes too long; not an Exception, so that no error handler catches it."""


@pytest.fixture
def timeout() -> Iterator[None]:
    """Stop a test that hangs."""

    def stop(*_: object) -> None:
        raise CaseTimeout

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(TIMEOUT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


RunCase = Callable[[Case], tuple[int, str, str]]


@pytest.fixture
def run_case(timeout: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> RunCase:
    """Run the command of a case in the current folder; return exit code, stdout and stderr."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(case: Case) -> tuple[int, str, str]:
        for name, value in case.env.items():
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
        train = case.command == "train"
        monkeypatch.setattr(
            sys, "argv", ["train.py" if train else "trainyard", *([] if train else [case.command]), *case.argv]
        )
        code = 0
        capfd.readouterr()
        try:
            (training if train else cli).main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return code, *capfd.readouterr()

    return run
