"""Cells become numbers and codes one by one: what is not a number costs its own row, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.inference.untrained import COLUMNS, TABLE
from trainyard.inference.prediction_batches import InputTable, encode_rows, load_table, table_batches

NAN = float("nan")


def table(folder: Path, text: str, name: str = "t.csv") -> InputTable:
    (folder / name).write_text(text)
    return replace(load_table(str(folder / name), COLUMNS), name=name)


def rows_of(folder: Path, text: str, name: str = "t.csv", rows: int = 100) -> tuple[list[list[float]], dict[int, str]]:
    """Return the rows that can be predicted, a missing number as -1, and the errors by their row from 0."""
    x: list[list[float]] = []
    errors: dict[int, str] = {}
    done = 0
    for batch in table_batches([table(folder, text, name)], COLUMNS, rows):
        x += batch.x.nan_to_num(-1).tolist()
        errors |= {done + position: problem for position, problem in batch.errors.items()}
        done += len(batch.names)
    return x, errors


def test_numbers_stay_and_levels_become_codes(tmp_path: Path) -> None:
    assert rows_of(tmp_path, TABLE) == ([[1.5, 2, 40], [2.5, 1, 60], [-1, 0, 70]], {})


def test_columns_are_found_by_name_whatever_stands_beside_them(tmp_path: Path) -> None:
    text = "id,mass,kind, town ,length,note\n1,40,cat,Rome,1.5,a\n2,60,,7,2.5,\n"
    assert rows_of(tmp_path, text) == ([[1.5, 2, 40], [2.5, 3, 60]], {})


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_cell_that_is_no_number_costs_its_row_alone(tmp_path: Path, rows: int) -> None:
    text = 'length,town,mass\n1,7,2\nabc,7,3\n4,,NA\n"1,2,5",Rome,x\n 6 ,7,1e2\n7,Bern,\n'
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[1, 3, 2], [4, 0, -1], [6, 3, 100], [7, 1, -1]]
    assert errors == {1: "length is not a number: abc", 3: "length is not a number: 1,2,5; mass is not a number: x"}


def test_a_long_cell_is_shortened(tmp_path: Path) -> None:
    _, errors = rows_of(tmp_path, f"length,town,mass\n{'a' * 500},7,2\n")
    assert errors == {0: f"length is not a number: {'a' * 37}..."}


@pytest.mark.parametrize("rows", [1, 100])
def test_truth_values_and_a_date_in_a_column_of_numbers(tmp_path: Path, rows: int) -> None:
    text = "length,town,mass\n10,7,true\n1.5,7,False\n1970-01-11,7,maybe\n"
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[10, 3, 1], [1.5, 3, 0]]
    assert errors == {2: "length is not a number: 1970-01-11; mass is not a number: maybe"}


@pytest.mark.parametrize("rows", [1, 100])
def test_semicolons_allow_decimal_commas(tmp_path: Path, rows: int) -> None:
    text = "length;town;mass\n1,5;7;2\n-0,25;Bern;3,5\n1,2,3;7;4\n;7;5.5\n"
    x, errors = rows_of(tmp_path, text, rows=rows)
    assert x == [[1.5, 3, 2], [-0.25, 1, 3.5], [-1, 3, 5.5]]
    assert errors == {2: "length is not a number: 1,2,3"}


def test_what_float32_cannot_hold_is_missing_as_in_training(tmp_path: Path) -> None:
    x, errors = rows_of(tmp_path, "length,town,mass\ninf,7,1e39\n1,7,bad\n-inf,7,1e39\n")
    assert x == [[-1, 3, -1], [-1, 3, -1]]
    assert errors == {1: "mass is not a number: bad"}


def test_a_missing_cell_is_no_error_in_a_column_with_one(tmp_path: Path) -> None:
    x, errors = rows_of(tmp_path, "length,town,mass\n,7,\nbad,7,1\nNA,7,null\n")
    assert (x, list(errors)) == ([[-1, 3, -1], [-1, 3, -1]], [1])


def test_parquet_gives_what_its_csv_gives(tmp_path: Path) -> None:
    frame = pd.DataFrame({"mass": [40, 60, 70], "town": ["Rome", None, "7"], "length": [1.5, NAN, 2.0], "more": 1})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.astype({"town": "category"}).set_index("more").to_parquet(tmp_path / "a.parquet")
    found = []
    for name in ("a.csv", "a.parquet"):
        [batch] = table_batches([load_table(str(tmp_path / name), COLUMNS)], COLUMNS, 9)
        found.append(batch.x.nan_to_num(-1).tolist())
    assert found[0] == found[1] == [[1.5, 2, 40], [-1, 0, 60], [2, 3, 70]]


def test_text_in_a_parquet_file_is_read_cell_by_cell() -> None:
    x, errors = encode_rows(pd.DataFrame({"length": ["1.5", "x", None], "town": [7, 7, 8], "mass": [1, 2, 3]}), COLUMNS)
    assert np.nan_to_num(x, nan=-1).tolist() == [[1.5, 3, 1], [-1, 3, 2], [-1, 0, 3]]
    assert errors == {1: "length is not a number: x"}


def test_rows_are_numbered_and_with_several_tables_named(tmp_path: Path) -> None:
    tables = [table(tmp_path, TABLE, "a.csv"), table(tmp_path, TABLE.replace(",", "\t"), "b.tsv")]
    names = [name for batch in table_batches(tables[:1], COLUMNS, 2) for name in batch.names]
    assert names == ["1", "2", "3"]
    names = [name for batch in table_batches(tables, COLUMNS, 2) for name in batch.names]
    assert names == ["a.csv:1", "a.csv:2", "a.csv:3", "b.tsv:1", "b.tsv:2", "b.tsv:3"]
