"""What the tests of sweeps share."""

from pathlib import Path

import pytest

from tests.sweeps.sweeping import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder to sweep in."""
    return Place(tmp_path)
