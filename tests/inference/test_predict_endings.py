"""Whatever ends the command early leaves nothing half written, and says no more than it must."""

import os
from pathlib import Path

import pytest

from tests.inference.conftest import Typed
from tests.inference.untrained import TABLE
from trainyard.inference.predict import PredictionsCSV


def test_an_interruption_leaves_no_file(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.csv").write_text(TABLE)
    before = sorted(os.listdir())  # noqa: PTH208
    write = PredictionsCSV.write

    def stopped(self: PredictionsCSV, batch: object) -> None:
        write(self, batch)  # type: ignore[arg-type]
        if self.rows == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(PredictionsCSV, "write", stopped)
    code, screen, errors = typed("rows.ckpt", "a.csv", "--output", "out.csv", "--batch-size", "1")
    assert (code, screen, errors) == (130, "", "interrupted\n")
    assert sorted(os.listdir()) == before  # noqa: PTH208


def test_a_table_that_breaks_off_leaves_no_file(typed: Typed) -> None:
    Path("a.csv").write_text(f"{TABLE}1,7,2,9\n")
    before = sorted(os.listdir())  # noqa: PTH208
    code, screen, errors = typed("rows.ckpt", "a.csv", "--output", "out.csv", "--batch-size", "1")
    assert (code, screen) == (1, "")
    assert errors.startswith("INPUT=a.csv: cannot be read (Error tokenizing data. C error: Expected 3 fields in line 5")
    assert sorted(os.listdir()) == before  # noqa: PTH208
