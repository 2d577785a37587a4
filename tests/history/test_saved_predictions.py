"""Predictions are read, or there are none."""

from pathlib import Path

import numpy as np

from tests.history.recorded import predict, record
from trainyard.history.scores import read_predictions


def test_predictions_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    run = record(tmp_path / "one")
    predict(run, [0, 1], [0, 1], ["a", "b"])
    file = run.folder / "predictions" / "val.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert read_predictions(run.folder) is None
    np.savez(file, probabilities=np.array([object()]), labels=[0], classes=["a"])
    assert read_predictions(run.folder) is None, "which would have to be unpickled"
