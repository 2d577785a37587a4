"""Where curves part."""

from pathlib import Path

import pytest

from tests.history.recorded import record
from trainyard.curves import read_table, truncate_table
from trainyard.history.curve_changes import curve_changes
from trainyard.history.run_curves import read_curves


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


CONTENT = b"epoch,step,train/loss,val/acc\n0,9,1.25,\n0,9,,0.5\n1,19,0.75,\n1,19,,0.625\n"


def test_a_table_that_was_cut_anywhere_keeps_its_complete_rows(tmp_path: Path) -> None:
    whole = read_table(CONTENT)[1]
    table = tmp_path / "metrics.csv"
    for length in range(len(CONTENT) + 1):
        lines = CONTENT[:length].count(b"\n")
        _, rows, damaged = read_table(CONTENT[:length])
        assert (rows, damaged) == (whole[: max(0, lines - 1)], 0)
        table.write_bytes(CONTENT[:length])
        read_curves(tmp_path)
        truncate_table(table, 10)
        assert not table.exists() or read_table(table.read_bytes())[1] == rows[:2]
        assert not (tmp_path / "metrics.damaged.csv").exists()


DAMAGED = {
    "no step": (CONTENT.replace(b"step", b"stop"), []),
    "garbage": (b'\xff\xfe\x00,"\n' * 50, []),
    "NULs": (CONTENT.replace(b"0,9,1.25,", b"\0" * 9), [1, 2, 3]),
    "a short row": (CONTENT.replace(b"0,9,1.25,", b"0,9"), [1, 2, 3]),
    "a quote": (CONTENT.replace(b"0,9,1.25,", b'0,9,"1.25,'), [1, 2, 3]),
    "a huge step": (CONTENT.replace(b"0,9,1.25,", b"0," + b"9" * 5000 + b",1.25,"), [1, 2, 3]),
    "a negative step": (CONTENT.replace(b"0,9,1.25,", b"0,-9,1.25,"), [1, 2, 3]),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_rows_are_dropped_and_the_table_is_kept_beside(tmp_path: Path, damage: str) -> None:
    content, kept = DAMAGED[damage]
    _, rows, damaged = read_table(content)
    assert rows == [read_table(CONTENT)[1][place] for place in kept]
    assert damaged
    (tmp_path / "metrics.csv").write_bytes(content)
    read_curves(tmp_path, by="epoch")
    truncate_table(tmp_path / "metrics.csv", 100)
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == content


def test_a_damaged_cell_is_empty() -> None:
    [row, *_] = read_table(CONTENT.replace(b"1.25", b"1.2x"))[1]
    assert row == {"epoch": "0", "step": "9", "train/loss": "", "val/acc": ""}
