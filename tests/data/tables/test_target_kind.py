"""The kind of task that a target column has, by its values."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.data.sources.table import Table
from trainyard.data.tables.columns import CellFormat
from trainyard.data.tables.target_kind import infer_kind

N = 240
DRAWS = np.random.default_rng(0)
WHOLE = np.arange(N)


def drawn(*values: object) -> list[object]:
    """Return N of these values in random order, each at least once."""
    return [*values, *(values[number] for number in DRAWS.integers(len(values), size=N - len(values)))]


CLASSES = {
    "text": drawn("fern", "moss"),
    "text of many classes": drawn(*(f"town {number}" for number in range(60))),
    "truth values": drawn(True, False),
    "truth values as text": drawn("true", "false"),
    "yes and no": drawn("yes", "no", "unknown"),
    "two numbers": drawn(0, 1),
    "minus one and one": drawn(-1, 1),
    "ten digits": drawn(*range(10)),
    "twenty whole numbers": drawn(*range(20)),
    "whole numbers as text": drawn("1", "2", "3"),
    "whole numbers as floats": drawn(1.0, 2.0, 3.0),
    "half stars": drawn(*np.arange(1, 5.5, 0.5).tolist()),
    "codes": drawn("001", "002", "010"),
    "codes of many towns": drawn(*(f"{number:05d}" for number in range(80))),
    "a class with a separator": drawn("yes;no", "maybe", "other"),
    "classes with a comma": drawn("Paris, France", "Lyon, France", "Rome, Italy"),
    "None is a class": drawn("None", "Insomnia", "Apnea"),
    "months": drawn("2026-01", "2026-02", "2026-03"),
    "mostly text": drawn("low", "high", "3"),
    "sizes": drawn("S", "M", "L", "XL"),
    "grades": drawn("A+", "A", "B", "C-"),
}
NUMBERS = {
    "fractions": DRAWS.normal(size=N),
    "prices": [f"{value:.2f}" for value in DRAWS.uniform(1, 999, N)],
    "money": [f"${value:,.2f}" for value in DRAWS.uniform(1, 99_999, N)],
    "thousands": [f"{value:,}" for value in DRAWS.integers(1000, 99_999, N)],
    "decimal commas": [f"{value:.1f}".replace(".", ",") for value in DRAWS.uniform(1, 99, N)],
    "percentages": [f"{value} %" for value in DRAWS.integers(0, 100, N)],
    "exponents": [f"{value:.3e}" for value in DRAWS.normal(size=N)],
    "negative": -DRAWS.integers(0, 500, N),
    "twenty-one whole numbers": drawn(*range(21)),
    "forty stars": drawn(*range(1, 41)),
    "years": drawn(*range(1950, 2020)),
    "counted": WHOLE,
    "eleven fractions": drawn(*(number / 10 for number in range(11))),
    "with a few question marks": [*DRAWS.normal(size=N - 5).round(2).astype(str), *["?"] * 5],
    "with missing values": [None if number % 9 == 0 else number / 7 for number in WHOLE],
    "one infinite": [*DRAWS.normal(size=N - 1), np.inf],
    "few numbers, one infinite": [*drawn(1, 2, 3)[:-1], np.inf],
    "few numbers as text, some infinite": drawn("1", "2", "-inf"),
    "large": DRAWS.uniform(1e12, 1e13, N),
}
LABELS = {
    "two labels": drawn("a", "b", "a;b"),
    "many labels": [";".join(np.array(list("abcdef"))[DRAWS.random(6) < 0.4]) or "a" for _ in WHOLE],
    "spaces": drawn("cat; dog", "dog", "cat ;bird", "bird"),
    "bars": drawn("Comedy|Drama", "Drama", "Comedy|Crime", "Crime|Drama"),
    "lists": drawn(["a"], ["a", "b"], ["b"]),
    "lists as text": drawn("['a']", "['a', 'b']", "['b', 'c']", "[]"),
    "arrays": [np.array([number % 3, 3 + number % 2]) for number in WHOLE],
}
CASES = [
    *(("classification", name, values) for name, values in CLASSES.items()),
    *(("regression", name, values) for name, values in NUMBERS.items()),
    *(("multilabel", name, values) for name, values in LABELS.items()),
]


@pytest.mark.parametrize(("kind", "values"), [case[::2] for case in CASES], ids=[case[1] for case in CASES])
def test_the_kind_of_a_column(kind: str, values: object) -> None:
    found = infer_kind(pd.DataFrame({"y": values}), CellFormat())
    assert found.kind == kind, found.reason


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"x": DRAWS.normal(size=N), "y": drawn(0, 1)}, "regression"),
        ({"x": drawn(1, 2, 3), "y": drawn(1, 2)}, "regression"),
        ({"cat": drawn(0, 1), "dog": drawn(0, 1)}, "multilabel"),
        ({"cat": drawn(True, False), "dog": drawn("0", "1"), "bird": drawn(0.0, 1.0, None)}, "multilabel"),
        ({"x": [f"${number},{number % 10}" for number in WHOLE], "y": WHOLE}, "regression"),
    ],
)
def test_the_kind_of_several_columns(columns: dict[str, object], kind: str) -> None:
    assert infer_kind(pd.DataFrame(columns), CellFormat()).kind == kind


def test_a_reason_says_how_to_change_the_kind() -> None:
    stars = infer_kind(pd.DataFrame({"stars": NUMBERS["forty stars"]}), CellFormat())
    assert str(stars) == "regression: stars has 40 distinct whole numbers; to change: task=classification"


@pytest.mark.parametrize("seed", range(12))
def test_made_up_tables_are_read_as_their_kind(tmp_path: Path, seed: int) -> None:
    """The target that is read back has the values from which the file was written, whatever its format."""
    draws = np.random.default_rng(seed)
    count = int(draws.integers(60, 300))
    frame = pd.DataFrame({"x": draws.normal(size=count), "z": draws.choice(list("pqr"), count)})
    numbers = draws.normal(size=count) * 10.0 ** draws.integers(-3, 6)
    classes = draws.integers(int(draws.integers(2, 21)), size=count)
    names = list("abcdefgh")[: int(draws.integers(2, 9))]
    labels = draws.random((count, len(names))) < 0.4
    labels[np.arange(count) % 7 == 0] = np.arange(len(names)) < 2  # the first two labels occur together
    labels[:, :1] |= ~labels.any(axis=1, keepdims=True)
    labels[1] = np.arange(len(names)) == 1
    frame["number"], frame["class"] = numbers, classes
    frame["labels"] = [";".join(np.array(names)[row]) for row in labels]
    parquet = bool(seed % 2)
    file = tmp_path / ("t.parquet" if parquet else "t.csv")
    frame.to_parquet(file) if parquet else frame.to_csv(file, sep=draws.choice([",", "\t", "|"]), index=False)
    expected = {
        "number": (Numbers, numbers[:, None].astype(np.float32)),
        "class": (Classes, np.unique(classes, return_inverse=True)[1]),
        "labels": (Labels, labels[:, labels.any(axis=0)]),
    }
    for target, (kind, values) in expected.items():
        data = Table(str(file), target, batch_size=8)
        y = data.read()["train"].y
        assert isinstance(data.target, kind)
        np.testing.assert_array_equal(y.numpy(), values)
