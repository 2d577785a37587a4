"""Columns that give nothing or too much away are warned of by name; innocent ones are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.data.suspicious_columns import suspicious_columns, typed
from trainyard.data.table import Table

N = 60
DRAWS = np.random.default_rng(0)
ROW = np.arange(N)
LABELS = np.where(ROW % 3 == 0, "x", "y").astype(object)
MISSING = np.where(ROW == 5, None, 1)


def found(values: object, name: str = "column") -> str:
    return dict(suspicious_columns(pd.DataFrame({name: values}), LABELS)).get(name, "")


@pytest.mark.parametrize("values", [[7] * N, ["same"] * N, [None] * N, [False] * N, [0.1] * N])
def test_a_constant_column(values: list[object]) -> None:
    assert found(values) == "is constant: nothing can be learned from it"


@pytest.mark.parametrize(
    ("values", "count"),
    [
        (ROW, N),
        (ROW + 1000.0, N),
        (DRAWS.permutation(ROW), N),
        (np.where(ROW == 5, np.nan, ROW), N - 1),
        ([f"n{i}" for i in ROW], N),
        ([f"n{i % 40}" for i in ROW], 40),
        ((ROW + 3) ** 2, N),  # in order
    ],
)
def test_an_identifier(values: object, count: int) -> None:
    rows = N - 1 if count == N - 1 else N
    assert found(values) == f"looks like an identifier: {count} values in {rows} rows"


def test_numbers_without_an_order_are_identifiers_by_their_name() -> None:
    values = DRAWS.permutation(ROW) * 1009
    assert found(values, "income") == ""
    assert found(values, "valid") == ""
    assert [bool(found(values, name)) for name in ("id", "patient_id", "PassengerId", "row ID")] == [True] * 4


@pytest.mark.parametrize("mapping", [{"x": 0, "y": 1}, {"x": "left", "y": "right"}, {"x": 2.5, "y": True}])
def test_a_copy_of_the_target(mapping: dict[str, object]) -> None:
    values = [mapping[label] for label in LABELS]
    assert found(values) == "is a copy of the target: each value means one class"
    values[4] = None
    assert found(values) == "is a copy of the target: each value means one class", "a missing one hides nothing"
    values[4] = mapping["x"]  # a row of class y
    assert found(values) == "", "almost a copy may be an honest measurement"


@pytest.mark.parametrize(
    "values",
    [
        DRAWS.normal(size=N),  # each row has its own, as measurements do
        ROW / 7,
        DRAWS.integers(0, 2, N),
        DRAWS.integers(0, 2, N).astype(bool),
        DRAWS.choice(["red", "green", "blue"], N),
        MISSING,  # what is missing may tell something
        np.where(ROW % 2, "yes", None),
        np.where(LABELS == "x", ROW % 4, 9),  # five values tell the two classes apart
    ],
)
def test_an_innocent_column(values: object) -> None:
    assert found(values) == ""


def test_a_table_warns_once_and_says_what_to_type(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = {"a b": ROW, "fine": DRAWS.normal(size=N), "flat": 1, "old": DRAWS.normal(size=N), "label": LABELS}
    pd.DataFrame(values).to_csv(tmp_path / "t.csv", index=False)
    Table(str(tmp_path / "t.csv"), "label", ignore=["old"], batch_size=8).read()
    [record] = caplog.records
    assert record.getMessage().splitlines() == [
        "column a b looks like an identifier: 60 values in 60 rows",
        "column flat is constant: nothing can be learned from it",
        """  to leave out: 'data.ignore=["old","a b","flat"]'""",
    ]
    caplog.clear()
    Table(str(tmp_path / "t.csv"), "label", ignore=["old", "a b", "flat"], batch_size=8).read()
    assert not caplog.records


@pytest.mark.parametrize("names", [["a"], ["a", "b_1"], ["Delta 15 N (o/oo)", "x"], ["a:b"], ["ä,b"], ["x=[1]"]])
def test_what_is_to_be_typed_is_what_hydra_reads(names: list[str]) -> None:
    [override] = OverridesParser.create().parse_overrides([typed(names).strip("'")])
    assert [str(getattr(value, "text", value)) for value in override.value()] == names
