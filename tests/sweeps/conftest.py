"""Fixtures of the tests of sweeps."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sweeps.sweeping import TINY, Place
from trainyard.cli.main import main


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder to sweep in."""
    return Place(tmp_path)


@pytest.fixture
def rejected(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Start a sweep in this process, which must fail with a ConfigError; return the errors."""
    monkeypatch.chdir(place.folder)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["trainyard", "-m", *TINY, *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 1
        return capfd.readouterr().err

    return run
