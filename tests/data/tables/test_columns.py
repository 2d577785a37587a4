"""The format of each column is inferred from the training file: exceptions, separators, codes, categories, leaks."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.data.sources.table import Table, format_override
from trainyard.data.tables.column_checks import ColumnValues
from trainyard.data.tables.columns import CellFormat, learn_columns
from trainyard.data.tables.reading import read_rows
from trainyard.io.errors import ConfigError

NAN = float("nan")


def learn(values: object, semicolons: bool = False, **options: object) -> tuple[Column, list[str]]:
    columns, notes = learn_columns(pd.DataFrame({"power": values}), CellFormat(**options), semicolons)
    [column] = columns["power"]
    return column, notes


def read(values: object, column: Column) -> list[float]:
    return read_rows(pd.DataFrame({"power": values}), [column])[0][:, 0].tolist()


def test_a_few_exceptions_are_reported_and_missing() -> None:
    column, notes = learn([*map(str, range(95)), "?", "?", "?", "-", "n.a.", "", "NA"])
    assert notes == ["column power: 5 of 100 values are not numeric: '?', '-', 'n.a.'; read as missing"]
    assert not column.levels
    assert np.array_equal(read(["7", " ? ", "N.A.", "-"], column), [7, NAN, NAN, NAN], equal_nan=True)


def test_many_exceptions_make_a_column_categorical() -> None:
    values = [*map(str, [*range(80)] * 2), *["?"] * 40]
    column, notes = learn(values)
    assert len(column.levels) == 81
    assert notes == [
        "column power: 160 of 200 values are numeric, the others are '?'; "
        """read as categories, or with 'data.missing=["?"]' as numbers"""
    ]
    column, notes = learn(values, missing=("?",))
    assert (column.levels, notes) == ((), [])
    assert np.array_equal(read(["7", "?"], column), [7, NAN], equal_nan=True)


def test_markers_of_missing_values_are_not_levels() -> None:
    column, _ = learn(["red", "?", "blue", "red"], missing=("?",))
    assert column.levels == ("blue", "red")
    assert read(["?", "red", "none"], column) == [0, 2, 0]


@pytest.mark.parametrize(
    ("values", "semicolons", "expected"),
    [
        (["$4.10", "$1,234.50"], False, [4.1, 1234.5]),
        (["12 %", "3 %"], False, [12, 3]),
        (["94,050.00", "1,000"], False, [94050, 1000]),
        (["4,10", "1,234"], False, [4.1, 1.234]),  # 4,10 is unambiguous
        (["1.234,50", "1.234"], False, [1234.5, 1234]),
        (["1,234", "5,678"], False, [1234, 5678]),
        (["1,234", "5,678"], True, [1.234, 5.678]),
        (["1.234", "5.678"], True, [1.234, 5.678]),
        (["1,234", "4.5"], True, [1234, 4.5]),
        (["(1,234)", "56"], False, [-1234, 56]),
        (["18446744073709551617", "1"], False, [2.0**64, 1]),
        (["True", "false"], False, [1, 0]),
        (["inf", "1"], False, [NAN, 1]),
    ],
)
def test_number_formats_are_inferred(values: list[str], semicolons: bool, expected: list[float]) -> None:
    column, _ = learn(values, semicolons)
    assert not column.levels
    assert np.array_equal(read(values, column), expected, equal_nan=True)


def test_ambiguous_commas_are_reported() -> None:
    _, notes = learn(["1,234", "5"])
    assert notes == ["column power: commas are read as separators of thousands; to change: data.decimal=comma"]
    column, notes = learn(["1,234", "5"], decimal=",")
    assert (read(["1,234"], column), notes) == ([1.234], [])


def test_ambiguous_numbers_follow_the_rest_of_the_file() -> None:
    frame = pd.DataFrame({"price": ["4,10", "5,25"], "people": ["1.234", "2.345"]})
    columns, notes = learn_columns(frame, CellFormat(), semicolons=True)
    assert notes == []
    x, _ = read_rows(frame, [column for inputs in columns.values() for column in inputs])
    assert x.tolist() == [[4.1, 1234], [5.25, 2345]]


def test_codes_with_leading_zeros_are_categories() -> None:
    assert learn(["02139", "10001", "02139", "10001"])[0].levels == ("02139", "10001")
    assert learn(["01", "12", "07", "3"])[0].levels == (), "of several lengths"
    assert learn(["001", "002", "003", "004"])[0].levels == (), "each occurs once"
    assert learn([*["02139", "10001"] * 20, "?"])[0].levels == ("02139", "10001", "?"), "an exception changes nothing"


def test_categories_of_parquet_stay_categories() -> None:
    assert learn(pd.Series([1, 2, 1, 2], dtype="category"))[0].levels == ("1", "2")


def test_an_empty_column_is_numeric_and_missing() -> None:
    for values in ([None, None], ["", "NA"], [NAN, NAN]):
        column, notes = learn(values)
        assert (column.levels, notes) == ((), [])
        assert np.isnan(read(values, column)).all()


def test_a_spec_can_be_stored_in_a_checkpoint() -> None:
    columns, _ = learn_columns(
        pd.DataFrame(
            {
                "a": [*map(str, range(40)), "?"],
                "b": ["01/31/2016", "02/28/2017"] * 20 + [""],
                "c": list("xyz") * 13 + ["x", "y"],
            }
        ),
        CellFormat(),
        semicolons=False,
    )
    flat = tuple(column for inputs in columns.values() for column in inputs)
    spec = DataSpec((len(flat),), Classes(("p", "q")), flat, (0.0,) * len(flat), (1.0,) * len(flat))
    assert DataSpec.from_dict(spec.to_dict()) == spec
    stored = json.loads(json.dumps(spec.to_dict()))
    assert DataSpec.from_dict(stored) == spec
    stored["columns"][0]["width"] = 8  # of an older version
    assert DataSpec.from_dict(stored) == spec


N = 60
DRAWS = np.random.default_rng(0)
ROW = np.arange(N)
LABELS = np.where(ROW % 3 == 0, "x", "y").astype(object)
MISSING = np.where(ROW == 5, None, 1)


def reason(values: object, name: str = "column") -> str:
    table = pd.DataFrame({name: values})
    [inputs] = learn_columns(table, CellFormat(), semicolons=False)[0].values()
    column = ColumnValues.of(table[name], inputs)
    return column.exclusion_reason(name) or column.leak_reason(Classes(("x", "y")), (LABELS == "y").astype(int))


@pytest.mark.parametrize("values", [[7] * N, ["same"] * N, [False] * N, [0.1] * N, ["2026-11-30"] * N])
def test_constant_columns_are_excluded(values: list[object]) -> None:
    assert reason(values) == "constant"


@pytest.mark.parametrize("values", [[None] * N, [""] * N, ["NA"] * N])
def test_empty_columns_are_excluded(values: list[object]) -> None:
    assert reason(values) == "empty"


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
def test_identifiers_are_excluded(values: object, count: int) -> None:
    rows = N - 1 if count == N - 1 else N
    assert reason(values) == f"an identifier: {count} values in {rows} rows"


def test_numbers_without_an_order_are_identifiers_by_their_name() -> None:
    values = DRAWS.permutation(ROW) * 1009
    assert reason(values, "income") == ""
    assert reason(values, "valid") == ""
    assert [bool(reason(values, name)) for name in ("id", "patient_id", "PassengerId", "row ID")] == [True] * 4


@pytest.mark.parametrize("mapping", [{"x": 0, "y": 1}, {"x": "left", "y": "right"}, {"x": 2.5, "y": True}])
def test_a_copy_of_the_target_is_reported(mapping: dict[str, object]) -> None:
    values = [mapping[label] for label in LABELS]
    assert reason(values) == "is a copy of the target: each value means one class"
    values[4] = None
    assert reason(values) == "is a copy of the target: each value means one class", "one missing value does not hide it"
    values[4] = mapping["x"]  # a row of class y
    assert reason(values) == "", "it may be a measurement"


LEAKS = [
    [f"{label}{row % 7}" for label, row in zip(LABELS, ROW, strict=True)],
    [{"x": 0, "y": 10}[label] + row % 5 for label, row in zip(LABELS, ROW, strict=True)],  # the same as numbers
    [f"{label}{row % 7}" if row % 9 else None for label, row in zip(LABELS, ROW, strict=True)],
    [f"n{row % 6}" if label == "x" else None for label, row in zip(LABELS, ROW, strict=True)],  # present in one class
]


@pytest.mark.parametrize("values", LEAKS)
def test_a_column_with_one_class_per_value_is_a_leak(values: list[object]) -> None:
    count = len({value for value in values if value is not None})
    assert reason(values) == f"is probably a leak: each of its {count} values belongs to one class"
    place = next(row for row in ROW if values[row] is not None)
    other = next(row for row in ROW if LABELS[row] != LABELS[place])
    values = list(values)
    values[other] = values[place]
    assert reason(values) == ""


@pytest.mark.parametrize(
    "values",
    [
        DRAWS.normal(size=N),  # measurements: each row has another value
        ROW / 7,
        DRAWS.integers(0, 2, N),
        DRAWS.integers(0, 2, N).astype(bool),
        DRAWS.choice(["red", "green", "blue"], N),
        MISSING,  # missing values may be informative
        np.where(ROW % 2, "yes", None),
        (LABELS == "x") * 40 + DRAWS.integers(0, 30, N),  # a good measurement separates the classes
        pd.date_range("2026-01-01", periods=N).strftime("%d.%m.%Y"),  # each row has another day
        [f"2026-01-{1 + i % 3 + 9 * (label == 'x'):02}" for i, label in zip(ROW, LABELS, strict=True)],
        [{0: "p", 30: "p", 10: "q", 20: "q", 40: "r", 50: "r"}.get(i) for i in ROW],  # six rows may be a coincidence
    ],
)
def test_normal_columns_are_not_reported(values: object) -> None:
    assert reason(values) == ""


def test_excluded_columns_and_leaks_are_reported_with_overrides(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    values = {"a b": ROW, "fine": DRAWS.normal(size=N), "flat": 1, "old": DRAWS.normal(size=N), "label": LABELS}
    pd.DataFrame({**values, "leak": LEAKS[0]}).to_csv(tmp_path / "t.csv", index=False)
    source = Table(str(tmp_path / "t.csv"), "label", ignore=["old"], batch_size=8)
    source.read()
    [record] = caplog.records
    assert record.getMessage().splitlines() == [
        "column leak is probably a leak: each of its 14 values belongs to one class",
        "  to leave out: data.ignore=[old,leak]",
        "excluded: a b (an identifier: 60 values in 60 rows), flat (constant); "
        """to include: 'data.keep=["a b","flat"]'""",
    ]
    assert [column.name for column in source.columns] == ["fine", "leak"], "a leak is reported, not excluded"
    caplog.clear()
    keep = Table(str(tmp_path / "t.csv"), "label", ignore=["old"], keep=["a b", "leak"], batch_size=8)
    keep.read()
    assert [column.name for column in keep.columns] == ["a b", "fine", "leak"]
    assert caplog.messages == ["""excluded: flat (constant); to include: 'data.keep=["a b","leak","flat"]'"""]
    caplog.clear()
    Table(str(tmp_path / "t.csv"), "label", ignore=["old", "a b", "flat", "leak"], batch_size=8).read()
    assert not caplog.records


def test_keep_must_name_existing_columns(tmp_path: Path) -> None:
    pd.DataFrame({"a": ROW, "label": LABELS}).to_csv(tmp_path / "t.csv", index=False)
    for keep, options in ((["b"], {}), (["label"], {}), (["a"], {"ignore": ["a"]})):
        with pytest.raises(ConfigError, match=r"^data\.(keep|ignore)="):
            Table(str(tmp_path / "t.csv"), "label", keep=keep, batch_size=8, **options).read()


def test_identifiers_are_used_if_there_is_no_other_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pd.DataFrame({"a": ROW, "label": LABELS}).to_csv(tmp_path / "t.csv", index=False)
    source = Table(str(tmp_path / "t.csv"), "label", batch_size=8)
    source.read()
    assert [column.name for column in source.columns] == ["a"]
    assert caplog.messages[-1:] == ["column a is an identifier: 60 values in 60 rows; there is no other column"]


@pytest.mark.parametrize("names", [["a"], ["a", "b_1"], ["Delta 15 N (o/oo)", "x"], ["a:b"], ["ä,b"], ["x=[1]"]])
def test_overrides_are_parsed_by_hydra(names: list[str]) -> None:
    [override] = OverridesParser.create().parse_overrides([format_override("data.keep", names).strip("'")])
    assert [str(getattr(value, "text", value)) for value in override.value()] == names
