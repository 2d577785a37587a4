"""Targets of tables: what is read for each task, and which values are rejected."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.data.sources.table import Table
from trainyard.io.errors import ConfigError

N = 60
X = np.random.default_rng(0).normal(size=N)
PRICE = np.round(20 + X * 3 + np.arange(N) % 5, 2)


def source(
    folder: Path, target: Any, columns: dict[str, Any], test: dict[str, Any] | None = None, **options: Any
) -> Table:
    """Write a table with a feature and these columns, and return its data source."""
    suffix = options.pop("suffix", "csv")
    for name, values in (("train", columns), ("test", test)):
        if values is not None:
            frame = pd.DataFrame({"x": X, "z": X**2, **values})
            file = folder / f"{name}.{suffix}"
            frame.to_csv(file, index=False) if suffix == "csv" else frame.to_parquet(file)
    if test is not None:
        options["test_path"] = str(folder / f"test.{suffix}")
    return Table(str(folder / f"train.{suffix}"), target, **{"batch_size": 8, **options})


def read(data: Table) -> torch.Tensor:
    return data.read()["train"].y


def cells(*values: object) -> list[object]:
    return [values[number % len(values)] for number in range(N)]


STARS = cells(*range(1, 26))


def test_a_task_converts_the_target(tmp_path: Path) -> None:
    classes = source(tmp_path, "y", {"y": STARS}, task="classification")
    assert read(classes).tolist() == [star - 1 for star in STARS]
    assert classes.target == Classes(tuple(map(str, range(1, 26))))
    numbers = source(tmp_path, "y", {"y": cells("1", "2")}, task="regression")
    assert read(numbers).tolist() == cells([1.0], [2.0])
    assert numbers.target == Numbers(("y",))
    truth = source(tmp_path, "y", {"y": cells(True, False)}, task="regression")
    assert read(truth).tolist() == cells([1.0], [0.0])
    labels = source(tmp_path, "y", {"y": cells("a", "b,c", "b")}, task="multilabel")
    assert read(labels).tolist() == cells([1, 0, 0], [0, 1, 1], [0, 1, 0])
    assert labels.target == Labels(("a", "b", "c"))
    single = source(tmp_path, "y", {"y": cells(0, 1, 1)}, task="multilabel")
    assert read(single).tolist() == cells([0], [1], [1])
    assert single.target == Labels(("y",))


def test_several_columns(tmp_path: Path) -> None:
    data = source(tmp_path, ["b", "a"], {"a": PRICE, "b": [f"${value}" for value in PRICE * 2]})
    assert data.target == Classes(()), "unknown before the file is read"
    y = read(data)
    assert data.target == Numbers(("b", "a"))
    assert torch.equal(y, torch.from_numpy(np.stack([PRICE * 2, PRICE], axis=1)).float())
    assert [column.name for column in data.columns] == ["x", "z"], "targets are not inputs"
    data = source(tmp_path, ["dog", "cat"], {"cat": cells(0, 1, 1), "dog": cells("True", "False", "True")})
    assert read(data).tolist() == cells([1, 0], [0, 1], [1, 1])
    assert data.target == Labels(("dog", "cat"))


@pytest.mark.parametrize("lists", [cells(["b", "a"], [], ["b"]), cells(["b", "a", "a"], [], [" b"])])
def test_columns_of_lists_in_parquet_are_labels(tmp_path: Path, lists: list[object]) -> None:
    data = source(tmp_path, "y", {"y": lists}, suffix="parquet")
    assert read(data).tolist() == cells([1, 1], [0, 0], [0, 1])


def test_rows_without_a_target_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    missing = [number % 10 == 0 for number in range(N)]
    price = np.where(missing, "", PRICE.astype(str))
    data = source(tmp_path, "y", {"y": price})
    assert len(read(data)) == N - 6
    assert data.report["path_rows_without_target"] == 6
    assert "6 of 60 rows of data.path have no y: left out" in caplog.text
    data = source(tmp_path, ["y", "z"], {"y": price})
    assert len(read(data)) == N - 6
    data = source(tmp_path, "y", {"y": np.where(missing, "", cells("a", "b", "a;b"))})
    assert len(read(data)) == N - 6
    assert "write [] for a row without labels" in caplog.text


def test_a_few_texts_among_numbers_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = source(tmp_path, "y", {"y": ["?", "n.m.", *PRICE[2:].astype(str)]})
    assert torch.equal(read(data)[:, 0], torch.from_numpy(PRICE[2:]).float())
    assert "target y: 2 of 60 values are not numbers: '?', 'n.m.'" in caplog.text


def test_the_log_says_what_was_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    read(source(tmp_path, "y", {"y": STARS}))
    assert "task       regression: y has 25 distinct whole numbers; to change: task=classification" in caplog.text
    caplog.clear()
    read(source(tmp_path, "y", {"y": STARS}, task="regression"))
    assert "to change" not in caplog.text


def test_a_trained_model_decides_how_other_files_are_read(tmp_path: Path) -> None:
    """Without its target, three stars would be classes, and the names `a;b` and `c` two labels."""
    for columns, other, expected in (
        ({"y": STARS}, cells(1, 2, 3), cells([1.0], [2.0], [3.0])),
        ({"y": cells("a;b", "c", "b;c")}, cells("c", "a"), cells([0, 0, 1], [1, 0, 0])),
    ):
        spec = source(tmp_path, "y", columns).spec
        data = source(tmp_path, "y", {"y": other})
        data.model_spec = spec
        assert read(data).tolist() == expected
        assert data.target == spec.target


@pytest.mark.parametrize(
    ("train", "test", "problem"),
    [
        (PRICE, [*PRICE[1:], np.inf], r"data\.target=y: y is infinite or too large in data\.test_path, row 60"),
        (PRICE, cells("cheap", "dear"), r"data\.target=y: y contains text in data\.test_path \('cheap', 'dear'\)"),
        (cells("a", "b;a"), cells("b", "c"), r"data\.test_path=.*: labels that training lacks: c"),
        (cells("a", "b"), cells("b", "c"), r"data\.test_path=.*: classes that training lacks: c"),
    ],
)
def test_test_files_with_other_targets_are_rejected(tmp_path: Path, train: Any, test: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{problem}\n  accepted: "):
        read(source(tmp_path, "y", {"y": train}, {"y": test}))


LOG = {"target_transform": "log"}
REJECTED = [
    (
        cells(3.5),
        {"task": "regression"},
        r"data\.target=y: it has 1 distinct value in 60 rows \(3\.5\)",
        "numbers that",
    ),
    (cells("a"), {}, r"data\.target=y: it has 1 distinct value in 60 rows \(a\)", "a column of classes"),
    (
        cells("a;b"),
        {"task": "multilabel"},
        r"data\.target=y: all 60 rows have the same labels: a, b",
        "labels that some",
    ),
    (
        [*PRICE[:-1], np.inf],
        {},
        r"data\.target=y: y is infinite or too large in data\.path, row 60",
        "finite numbers up to 1e+16",
    ),
    ([*PRICE[2:], "-inf", "2e16"], {}, r"data\.target=y: y is infinite.*, row 59, 60", "finite numbers"),
    (
        PRICE - 20,
        LOG,
        r"data\.target_transform=log: y is 0 or less in \d+ of 60 rows of data\.path, such as -",
        "none, or",
    ),
    (
        [0, *PRICE[1:]],
        LOG,
        r"data\.target_transform=log: y is 0 or less in 1 of 60 rows .*such as 0\n",
        "a target above 0",
    ),
    (cells("a", "b"), LOG, r"data\.target_transform=log: .*the task is classification", "task=regression"),
    (cells("a", "b"), {"task": "regression"}, r"data\.target=y: y contains text .*\('a', 'b'\)", "task=classification"),
    (
        PRICE,
        {"task": "classification"},
        r"data\.target=y: it has \d+ distinct values in 60 rows",
        "each in several rows",
    ),
    (PRICE, {"task": "multilabel"}, r"data\.target=y: it has \d+ distinct labels in 60 rows", "labels that occur in"),
    ([None] * N, {"task": "regression"}, r"data\.path=.*: no row has a y", "rows with numbers"),
    (PRICE, {"sampler": "balanced"}, r"data\.sampler=balanced: .*the data has 1 number: y", "shuffle"),
    (PRICE, {"class_weights": "balanced"}, r"data\.class_weights=balanced: .*1 number: y", "none"),
    (cells("a;b", "b"), {"class_weights": [1, 2]}, r"data\.class_weights=\[1, 2\]: .*2 labels", "none"),
]


@pytest.mark.parametrize(("values", "options", "problem", "accepted"), REJECTED)
def test_invalid_targets_are_rejected(
    tmp_path: Path, values: Any, options: dict[str, Any], problem: str, accepted: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}") as error:
        use(source(tmp_path, "y", {"y": values}, **options))
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert accepted in lines[1]


def use(data: Table) -> None:
    assert data.spec
    data.check()


@pytest.mark.parametrize(
    ("columns", "options", "problem"),
    [
        ({"a": PRICE, "b": cells("s", "m")}, {}, r"data\.target=\[a,b\]: b contains text"),
        ({"a": PRICE, "b": cells(7)}, {}, r"data\.target=\[a,b\]: b has 1 distinct value in 60 rows \(7\)"),
        ({"a": cells(0, 1), "b": cells(0)}, {}, r"data\.target=\[a,b\]: no row has the label b"),
        ({"a": cells(0, 1), "b": cells(3, 1)}, {"task": "multilabel"}, r"data\.target=\[a,b\]: b contains 3"),
        ({"a": PRICE, "b": PRICE}, {"task": "classification"}, r"data\.target=\[a,b\]: classes are in one column"),
        ({"a": PRICE, "c": PRICE}, {}, r"data\.target=b: data\.path has no such column"),
    ],
)
def test_invalid_columns_are_rejected(tmp_path: Path, columns: Any, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{problem}.*\n  accepted: "):
        read(source(tmp_path, ["a", "b"], columns, **options))


def test_a_label_that_training_lacks_is_rejected(tmp_path: Path) -> None:
    data = source(tmp_path, "y", {"y": cells("a;b", "b", "c;a")})
    train = data.splits["train"]
    train.y[:, 2] = 0
    with pytest.raises(ConfigError, match=r"^data\.target=c: no training example has the label\n  accepted: "):
        data.check()


def test_repeated_target_columns_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.target=\[y,y\]: no or repeated columns"):
        source(tmp_path, ["y", "y"], {"y": PRICE})


LEAKS = [
    (PRICE * 1000 + 3, r"is a copy of the target y, perhaps in other units: correlation 1\.00000"),
    (-PRICE, r"is a copy of the target y, perhaps in other units: correlation -1\.00000"),
    (np.log(PRICE), "is probably a leak: it has the order of the target y"),
    ([f"p{value}" for value in PRICE * 100 // 150], ""),
    (PRICE + X * 0.2, ""),
]


@pytest.mark.parametrize(("values", "note"), LEAKS)
def test_leaks_of_numbers_are_reported(tmp_path: Path, values: Any, note: str, caplog: Any) -> None:
    read(source(tmp_path, "y", {"y": PRICE, "other": values}))
    found = [text for _, _, text in caplog.record_tuples if text.startswith("column other ")]
    assert bool(found) == bool(note)
    if note:
        assert pd.Series(found).str.match(f"column other {note}").all()
        assert "to leave out: data.ignore=[other]" in found[0]


def test_codes_that_determine_a_number_or_label_are_reported(tmp_path: Path, caplog: Any) -> None:
    rates = cells(3.1, 7.5, 1.25, 9.0, 2.2, 4.4, 5.9, 8.8, 6.1, 3.3, 1.9, 2.7)
    codes = cells(*"abcdefghijkl")
    read(source(tmp_path, "y", {"y": rates, "code": codes}))
    assert "column code is a copy of the target: each value means one y" in caplog.text
    caplog.clear()
    read(source(tmp_path, "y", {"y": cells("u", "v", "u;v"), "code": cells("p", "q", "p")}))
    assert "column code is a copy of the target: each value means one class (label u)" in caplog.text


def test_numbers_of_other_files_have_the_decimals_of_the_training_file(tmp_path: Path) -> None:
    data = source(
        tmp_path, "y", {"y": cells("0,5", "1,25", "7,125")}, {"y": cells("1,234", "7,125")}, task="regression"
    )
    assert data.read()["test"].y[:2].tolist() == [[pytest.approx(1.234)], [7.125]]
    assert data.target == Numbers(("y",), decimals=(",",))
    other = source(tmp_path, "y", {"y": cells("1,234", "7,125")})
    other.model_spec = DataSpec((2,), data.target, data.columns, (0.0,) * 2, (1.0,) * 2)
    assert other.read()["train"].y[:2].tolist() == [[pytest.approx(1.234)], [7.125]]


def test_numbers_that_float32_rounds_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(source(tmp_path, "y", {"y": 1.7e9 + PRICE}))
    assert "target y: float32 rounds its numbers by up to 28; subtract a constant, such as 1.7e+09" in caplog.text
    caplog.clear()
    read(source(tmp_path, "y", {"y": 1.7e4 + PRICE}))
    assert "float32" not in caplog.text
