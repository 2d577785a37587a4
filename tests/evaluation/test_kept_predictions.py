"""Predictions are read, or there are none."""

from pathlib import Path

import numpy as np
import pytest

from tests.history.recorded import SPLIT, predict, record
from tests.sweeps.synthetic import space
from trainyard.evaluation.ensemble import select
from trainyard.evaluation.kept_predictions import read_predictions
from trainyard.sweeps.stored import StoredSweep


def test_predictions_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    run = record(tmp_path / "one")
    predict(run, [0, 1], [0, 1], ["a", "b"])
    file = run.folder / "predictions" / "val.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert read_predictions(run.folder) is None
    np.savez(file, probabilities=np.array([object()]), labels=[0], classes=["a"])
    assert read_predictions(run.folder) is None, "which would have to be unpickled"


def test_an_ensemble_has_no_members_of_other_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds of a sorted table have the same labels in the same order, but other examples."""
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/sweeps/S")
    for number, score in enumerate((0.5, 0.6, 0.9, 0.8)):
        fold = {**SPLIT, "inputs": f"fold {number % 2}"}
        run = record(folder / str(number), score, val=fold)
        predict(run, [0, 0, 1, 1], [0, 0, 1, number % 2], ["a", "b"])
    StoredSweep.create(folder, space(["optimizer.lr=1,2", "data.fold=0,1"]), ["val/acc"])
    chosen = select("best:S", 2)
    assert chosen.best.name == "S/2"
    assert (chosen.candidates, chosen.left_out) == (2, 2)
    assert {job.name for job in chosen.jobs} <= {"S/0", "S/2"}
