"""Data differ by split."""

from pathlib import Path

from tests.history.recorded import SPLIT, record
from trainyard.history.data_changes import data_changes


def test_data_are_told_apart_by_split(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", val={**SPLIT, "examples": 99, "labels": "x", "inputs": "y"})
    assert data_changes(one, one) == []
    assert data_changes(one, other) == ["val: examples 100 -> 99, other labels, other inputs"]
    assert data_changes(one, record(tmp_path / "old", result={"data": {}})) is None
