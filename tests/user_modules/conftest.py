"""Fixtures of runs of plain Lightning modules."""

from pathlib import Path

import pytest

from tests.user_modules.user_runs import Runs, train_teacher


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of one of Trainyard's models."""
    return train_teacher(tmp_path_factory.mktemp("teacher") / "run")


@pytest.fixture
def runs(tmp_path: Path, teacher: Path) -> Runs:
    """Runs in an empty folder."""
    return Runs(tmp_path, teacher)
