"""A run, and a copy of it that may be tampered with."""

import shutil
from pathlib import Path

import pytest

from trainyard.config.composition import compose
from trainyard.run.training import train


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has touched."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=1"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


@pytest.fixture
def run(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(sound, tmp_path / "run"))


@pytest.fixture(autouse=True)
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a command that is run would leave."""
    monkeypatch.setenv("SECRET", "hidden-in-the-environment")
    return tmp_path / "ran"
