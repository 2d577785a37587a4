"""A completed run, and a copy for each test to tamper with."""

import shutil
from pathlib import Path

import pytest

from trainyard.config.composition import compose
from trainyard.run.training import train


@pytest.fixture(scope="session")
def completed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run."""
    folder = tmp_path_factory.mktemp("completed") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=1"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


@pytest.fixture
def run(completed_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the completed run into the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(completed_run, tmp_path / "run"))


@pytest.fixture(autouse=True)
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that malicious code would create; also set a secret environment variable."""
    monkeypatch.setenv("SECRET", "hidden-in-the-environment")
    return tmp_path / "ran"
