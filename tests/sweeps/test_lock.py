"""Who works on a sweep."""

import os
from pathlib import Path

import pytest

from trainyard.errors import ConfigError
from trainyard.sweeps.stored import lock_sweep


def test_who_comes_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with lock_sweep(tmp_path):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} is running it"), lock_sweep(tmp_path):
            pass
        assert (tmp_path / "holder").read_text() == f"{os.getpid()}\n", "it is still held"
    with lock_sweep(tmp_path):
        pass
