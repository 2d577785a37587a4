"""The command, typed in a folder with a model of images and one of rows."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.inference.untrained import IMAGES, ROWS, model_of, save
from trainyard.cli.main import main

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Run the command beside `images.ckpt` and `rows.ckpt`; return exit code, screen and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    save(model_of(IMAGES), tmp_path / "images.ckpt")
    save(model_of(ROWS), tmp_path / "rows.ckpt")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trainyard", "predict", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run
