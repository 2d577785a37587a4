"""Tables: columns fitted to the training rows, test files, and checkpoints that predict from raw rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import Compose
from tests.data.sources.table_rows import N, frame, source
from trainyard.data.loading.spec import Column
from trainyard.data.sources.table import Table
from trainyard.data.tables.columns import fit_column, recode_levels
from trainyard.data.tables.reading import read_rows
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model
from trainyard.run.training import train


def test_statistics_come_from_the_training_rows_alone(tmp_path: Path) -> None:
    data = source(tmp_path, frame(), seed=3)
    rows = frame().loc[data.splits["train"].ids.numpy()]  # ids say which rows they are
    a, b = rows["a"].to_numpy("float32"), rows["b"].to_numpy("float32")
    median = np.nanmedian(b)
    filled = np.where(np.isnan(b), median, b).astype("float64")
    assert data.columns[0].median == pytest.approx(np.median(a), rel=1e-6)
    assert data.columns[1].median == pytest.approx(median, rel=1e-6)
    missing = rows.drop(columns="kind").isna().any().tolist()
    assert [column.may_miss for column in data.columns] == missing == [False, True, False, True, False]
    assert data.spec.mean == pytest.approx([a.astype("float64").mean(), filled.mean(), 0, 0, 0])
    assert data.spec.std == pytest.approx([a.astype("float64").std(), filled.std(), 1, 1, 1])
    assert median != pytest.approx(np.nanmedian(frame()["b"]), rel=1e-6), "the median of all rows differs"


def test_levels_that_training_lacks_get_code_0(tmp_path: Path) -> None:
    seeds = [seed for seed in range(20) if 7 not in source(tmp_path, frame(), seed=seed).splits["train"].ids]
    data = source(tmp_path, frame(), seed=seeds[0])
    assert data.spec.columns[4].levels == ("often",)
    for part in data.splits.values():
        assert part.x[:, 4].tolist() == (part.ids != 7).float().tolist(), "1 is often; row 7 alone has another level"


@pytest.mark.parametrize(("limit", "embedded"), [(0, 3), (1, 3), (2, 1), (19, 1), (20, 0)])
def test_levels_above_the_limit_are_embedded(tmp_path: Path, limit: int, embedded: int) -> None:
    columns = source(tmp_path, frame(), one_hot_limit=limit, seed=3).spec.columns
    assert [len(column.levels) for column in columns] == [0, 0, 2, 20, 2]
    assert sum(column.embedded for column in columns) == embedded


def test_a_checkpoint_predicts_from_raw_rows(compose_run: Compose, tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "rows.csv", index=False)
    cfg = compose_run("data=table", f"data.path={tmp_path / 'rows.csv'}", "data.target=kind", "trainer.max_epochs=4")
    train(cfg)
    metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
    model = load_model(tmp_path / "run" / "checkpoints" / "best.ckpt").eval()
    test = Table(str(tmp_path / "rows.csv"), "kind", batch_size=8).splits["test"]
    assert test.x.isnan().any(), "some values are missing"
    with torch.no_grad():
        logits = model(test.x)
    assert float(F.cross_entropy(logits, test.y)) == pytest.approx(metrics["test/loss"], rel=1e-5)
    assert float((logits.argmax(1) == test.y).float().mean()) == pytest.approx(metrics["test/acc"])
    town = model.spec.columns[3]
    assert town.embedded
    assert set(town.levels) <= {f"t{i}" for i in range(20)}


def test_a_test_file_may_have_its_columns_in_another_order(tmp_path: Path) -> None:
    test = frame(1)
    data = source(tmp_path, frame(), test[test.columns[::-1]])
    assert len(data.splits["test"]) == N
    assert len(data.splits["train"]) + len(data.splits["val"]) == N
    assert torch.equal(data.splits["test"].x[:, 0], torch.tensor(test["a"].to_numpy("float32")))
    assert data.splits["test"].y.tolist() == [0, 1] * (N // 2)


def test_a_test_file_may_miss_a_whole_column(tmp_path: Path) -> None:
    data = source(tmp_path, frame(), frame(1).assign(b=None, colour=None))
    assert data.splits["test"].x[:, 1].isnan().all()
    assert (data.splits["test"].x[:, 2] == 0).all()


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, caplog: Any) -> None:
    rows = frame()
    rows.loc[[3, 50], "kind"] = None
    data = source(tmp_path, rows)
    ids = torch.cat([part.ids for part in data.splits.values()]).sort().values
    assert ids.tolist() == [row for row in range(N) if row not in (3, 50)]
    assert data.report["path_rows_without_target"] == 2
    assert "2 of 80 rows of data.path have no kind: left out" in caplog.text


def test_ignored_columns_are_not_used(tmp_path: Path) -> None:
    two = source(tmp_path, frame(), ignore=["town", "rare"])
    assert [column.name for column in two.spec.columns] == ["a", "b", "colour"]
    assert len(source(tmp_path, frame(), ignore="town").spec.columns) == 4, "a single name"
    assert len(source(tmp_path, frame(), ignore=None).spec.columns) == 5


@pytest.mark.parametrize("classes", [np.arange(N) % 3, np.arange(N) % 9 / 2, np.arange(N) % 2 == 0])
def test_numbers_and_truth_values_may_be_classes(tmp_path: Path, classes: Any) -> None:
    assert len(source(tmp_path, frame().assign(kind=classes)).spec.classes) == len(np.unique(classes))


LABELS = ["None", "NA", "null", "n/a", "001", "1", "nan", "a b"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_only_empty_labels_are_missing(tmp_path: Path, ending: str) -> None:
    kinds = [*LABELS, *(f" {label} " for label in LABELS), "", None] * 4
    rows = pd.DataFrame({"a": np.random.default_rng(0).normal(size=len(kinds)), "kind": kinds})
    file = tmp_path / f"t.{ending}"
    rows.to_parquet(file) if ending == "parquet" else rows.to_csv(file, index=False)
    data = Table(str(file), "kind", batch_size=8)
    train = data.read()["train"]
    assert sorted(data.classes) == sorted(LABELS)
    assert [data.classes[label] for label in train.y] == [kind.strip() for kind in kinds if kind]
    assert data.report["path_rows_without_target"] == 8


def test_labels_of_a_test_file_may_be_floats(tmp_path: Path) -> None:
    data = source(tmp_path, frame().assign(kind=np.arange(N) % 2), frame(1).assign(kind=np.arange(N) % 2 / 1.0))
    assert data.splits["test"].y.tolist() == [0, 1] * (N // 2)
    assert data.classes == ("0", "1")


def test_a_test_file_has_the_formats_of_the_training_file(tmp_path: Path, caplog: Any) -> None:
    days = pd.Series(pd.date_range("2026-01-20", periods=N))
    rows = frame().assign(day=days.dt.strftime("%m/%d/%Y"), price=[f"{i * 7 % 90},{i % 7}5" for i in range(N)])
    rows.loc[3, "price"] = "?"
    test = frame(1).assign(day=days.dt.strftime("%m/%d/%Y"), price=[f"{i}.50" for i in range(N)])
    test.loc[:1, "price"] = ["?", "free"]
    test.loc[:2, "day"] = ["2026-12-31", "02/03/2026", ""]
    x = source(tmp_path, rows, test, keep=["price"]).splits["test"].x
    assert x[:3, -1].nan_to_num(-1).tolist() == [-1, -1, 2.5], "the columns are a, b, colour, town, rare, day, price"
    assert x[:3, 5].nan_to_num(-1).tolist() == [12, 2, -1], "month"
    assert "column price: 1 of 80 values are not numeric: '?'; read as missing" in caplog.text
    assert "column price: 1 of 80 values of data.test_path are not numbers: 'free'; read as missing" in caplog.text


def test_a_category_missing_in_all_training_rows_stays_categorical() -> None:
    column = Column("c", ("a", "b"), decimal=".")
    after = fit_column(column, torch.zeros(5), one_hot_limit=16)
    assert (len(after.levels), after.may_miss) == (1, True)
    assert recode_levels(torch.tensor([0.0, 1.0, 2.0]), column, after).tolist() == [0, 0, 0]
    x, wrong = read_rows(pd.DataFrame({"c": ["a", "", "z"]}), [after])
    assert (x.tolist(), wrong["c"].any()) == ([[0]] * 3, False)


@pytest.mark.parametrize(
    ("change", "key", "problem"),
    [
        (lambda test: test.drop(columns=["a", "rare"]), "data.test_path", "no column a, rare"),
        (lambda test: test.drop(columns="kind"), "data.target", "data.test_path has no such column"),
        (
            lambda test: test.replace({"kind": {"wide": "broad"}}),
            "data.test_path",
            "classes that training lacks: broad",
        ),
        (lambda test: test.assign(b="tall"), "data.test_path", "b contains text"),
        (lambda test: test.assign(kind=None), "data.test_path", "no row has a kind"),
    ],
)
def test_unsuitable_test_files_are_rejected(tmp_path: Path, change: Any, key: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}=.*{problem}.*\n  accepted: ") as error:
        source(tmp_path, frame(), change(frame(1))).splits  # noqa: B018
    assert len(str(error.value).splitlines()) <= 5


REJECTED = [
    ({"target": "knid"}, r"data\.target=knid: .*; did you mean kind\?\n.*a, b, colour, town, rare, kind"),
    (
        {"target": "number", "task": "classification"},
        r"data\.target=number: it has 80 distinct values in 80 rows \(0, 1, 2, 3, 4 and 75 more",
    ),
    ({"target": "name"}, r"data\.target=name: it has 80 distinct values"),
    ({"target": "same"}, r"data\.target=same: it has 1 distinct value in 80 rows \(1\)"),
    ({"ignore": ["clour", "a"]}, r"data\.ignore=clour, a: unknown feature clour; did you mean colour\?\n.*measured"),
    ({"ignore": ["kind"]}, r"data\.ignore=kind: unknown feature kind\n.*a, b, colour, town, rare, measured"),
]


@pytest.mark.parametrize(("options", "text"), REJECTED)
def test_invalid_targets_and_columns_are_rejected(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    number = np.arange(N)
    rows = frame().assign(measured=number * 0.37, number=number, name=[f"n{i}" for i in number], same=1)
    with pytest.raises(ConfigError, match=f"^{text}") as error:
        source(tmp_path, rows, **options).splits  # noqa: B018
    assert "\n  accepted: " in str(error.value)


def test_a_table_without_other_columns_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path=.*no column is left.*\n.*columns besides kind and data\.ignore"):
        source(tmp_path, frame()[["kind"]]).splits  # noqa: B018
    with pytest.raises(ConfigError, match=r"data\.path=.*: no column is left"):
        source(tmp_path, frame()[["a", "b", "kind"]], ignore=["a", "b"]).splits  # noqa: B018


def test_classes_named_by_numbers_of_5000_digits_are_ordered(tmp_path: Path) -> None:
    names = ["9" * 5000, "3", "1" * 5000]
    pd.DataFrame({"a": range(60), "b": [0, 1] * 30, "kind": names * 20}).to_csv(tmp_path / "t.csv", index=False)
    data = Table(str(tmp_path / "t.csv"), "kind", batch_size=8)
    data.read()
    assert list(data.classes) == ["3", "1" * 5000, "9" * 5000]
