"""Who works on a sweep."""

import os
from pathlib import Path

import pytest

from trainyard.errors import ConfigError
from trainyard.sweeps.holder import held


def test_who_comes_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} works on it"), held(tmp_path):
            pass
        assert (tmp_path / "holder").read_text() == f"{os.getpid()}\n", "it is still held"
    with held(tmp_path):
        pass
