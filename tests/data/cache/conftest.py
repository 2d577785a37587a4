"""Fixtures of the tests of caches."""

from pathlib import Path

import pytest

from tests.data.cache.image_files_to_decode import save_files


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A dozen image files."""
    return save_files(tmp_path / "files")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder that does not exist."""
    return tmp_path / "cache"
