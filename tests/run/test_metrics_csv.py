"""Reading and truncating `metrics.csv`, intact and damaged."""

from pathlib import Path

import pytest

from trainyard.run.metrics_csv import parse_table, read_curves, truncate_table

CONTENT = b"epoch,step,train/loss,val/acc\n0,9,1.25,\n0,9,,0.5\n1,19,0.75,\n1,19,,0.625\n"


def test_truncated_table_keeps_its_complete_rows(tmp_path: Path) -> None:
    whole = parse_table(CONTENT)[1]
    table = tmp_path / "metrics.csv"
    for length in range(len(CONTENT) + 1):
        lines = CONTENT[:length].count(b"\n")
        _, rows = parse_table(CONTENT[:length])
        assert rows == whole[: max(0, lines - 1)]
        table.write_bytes(CONTENT[:length])
        read_curves(tmp_path)
        truncate_table(table, 10)
        assert not table.exists() or parse_table(table.read_bytes())[1] == rows[:2]
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
def test_damaged_rows_are_removed_and_the_table_is_kept_beside(tmp_path: Path, damage: str) -> None:
    content, valid = DAMAGED[damage]
    columns, rows = parse_table(content)
    assert rows == [parse_table(CONTENT)[1][place] for place in valid]
    table = tmp_path / "metrics.csv"
    table.write_bytes(content)
    read_curves(tmp_path, by="epoch")
    truncate_table(table, 100)
    assert not table.exists() if "step" not in columns else parse_table(table.read_bytes()) == (columns, rows)
    assert (tmp_path / "metrics.damaged.csv").read_bytes() == content


def test_invalid_cell_is_empty() -> None:
    [row, *_] = parse_table(CONTENT.replace(b"1.25", b"1.2x"))[1]
    assert row == {"epoch": "0", "step": "9", "train/loss": "", "val/acc": ""}


def test_curves_exclude_durations_but_no_names_that_contain_their_letters(tmp_path: Path) -> None:
    names = ("val/sentiment_acc", "epoch_time", "train/examples_per_second", "val/secondary_loss")
    (tmp_path / "metrics.csv").write_text(f"step,{','.join(names)}\n9,1,2,3,4\n")
    assert read_curves(tmp_path) == {"val/sentiment_acc": {9: 1.0}, "val/secondary_loss": {9: 4.0}}
