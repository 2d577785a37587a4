"""A fixture that runs `train.py` in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainyard.cli.train import main

Train = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Train:
    """Run `train.py ARGUMENTS` in an empty folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *args])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capfd.readouterr()

    return run
