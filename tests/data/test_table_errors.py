"""Tables that cannot work: one clear error for each, with the key, the value, and what is accepted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.data.table_rows import N, frame, source
from trainyard.data.table import Table
from trainyard.errors import ConfigError


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
        (lambda test: test.assign(b="tall"), "data.test_path", "b holds text"),
        (lambda test: test.assign(kind=None), "data.test_path", "no row has a kind"),
    ],
)
def test_a_test_file_that_does_not_fit(tmp_path: Path, change: Any, key: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}=.*{problem}.*\n  accepted: ") as error:
        source(tmp_path, frame(), change(frame(1))).splits  # noqa: B018
    assert len(str(error.value).splitlines()) <= 5


REJECTED = [
    ({"target": "knid"}, r"data\.target=knid: .*; did you mean kind\?\n.*a, b, colour, town, rare, kind"),
    ({"target": "measured"}, r"data\.target=measured: it has 80 distinct values in 80 rows"),
    ({"target": "tenths"}, r"data\.target=tenths: it has 40 distinct values"),
    ({"target": "number"}, r"data\.target=number: it has 80 distinct values in 80 rows \(0, 1, 2, 3, 4 and 75 more"),
    ({"target": "grams"}, r"data\.target=grams: it has 27 distinct values"),
    ({"target": "name"}, r"data\.target=name: it has 80 distinct values"),
    ({"target": "same"}, r"data\.target=same: it has 1 distinct values"),
    ({"ignore": ["clour", "a"]}, r"data\.ignore=clour, a: no column clour; did you mean colour\?\n.*measured"),
    ({"ignore": ["kind"]}, r"data\.ignore=kind: kind is the target"),
]


@pytest.mark.parametrize(("options", "text"), REJECTED)
def test_what_cannot_be_learned_is_named(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    number = np.arange(N)
    rows = frame().assign(measured=number * 0.37, tenths=number // 2 / 10, number=number, grams=number // 3 * 50)
    rows = rows.assign(name=[f"n{i}" for i in number], same=1)[
        [*frame().columns, "measured", "tenths", "number", "grams", "name", "same"]
    ]
    with pytest.raises(ConfigError, match=f"^{text}") as error:
        source(tmp_path, rows, **options).splits  # noqa: B018
    assert "\n  accepted: " in str(error.value)


def test_nothing_left_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path=.*no column is left.*\n.*columns beside kind"):
        source(tmp_path, frame()[["kind"]]).splits  # noqa: B018
    with pytest.raises(ConfigError, match=r"data\.ignore=a, b: no column is left"):
        source(tmp_path, frame()[["a", "b", "kind"]], ignore=["a", "b"]).splits  # noqa: B018


def test_classes_named_by_numbers_of_5000_digits_are_ordered(tmp_path: Path) -> None:
    names = ["9" * 5000, "3", "1" * 5000]
    pd.DataFrame({"a": range(60), "b": [0, 1] * 30, "kind": names * 20}).to_csv(tmp_path / "t.csv", index=False)
    data = Table(str(tmp_path / "t.csv"), "kind", batch_size=8)
    data.read()
    assert list(data.classes) == ["3", "1" * 5000, "9" * 5000]
