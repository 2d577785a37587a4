"""Where curves part."""

from pathlib import Path

from tests.history.recorded import record
from trainyard.history.curve_changes import curve_changes


def test_curves_part_at_the_first_epoch_that_is_more_than_rounding(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6, 0.7, 0.9))
    other = record(tmp_path / "two", curve=(0.5, 0.6 + 1e-7, 0.75, 0.92), result={"epochs": 4})
    best, line = curve_changes(one, other) or []
    assert best == "best epoch 2 of 2 -> 2 of 4"
    assert line == "val/acc 0.9000 -> 0.9200 at the end, parts at epoch 3 (by 0.05), farthest 0.0500 at epoch 3"
    assert curve_changes(one, one) == []
    short = record(tmp_path / "short", curve=(0.5, 0.6))
    assert curve_changes(one, short) == ["val/acc 0.9000 -> 0.6000 at the end, the same until epoch 2"]
    (short.folder / "metrics.csv").unlink()
    assert curve_changes(one, short) is None


def test_a_curve_that_becomes_no_number_parts_there(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6))
    other = record(tmp_path / "two", curve=(0.5, float("nan")))
    [line] = curve_changes(one, other) or []
    assert "parts at epoch 2 (by nan)" in line
