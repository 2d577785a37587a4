"""Sweeps whose objective depends on the data: it is known before the first job."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from tests.sweeps.sweeping import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a folder with a table of numbers and one of classes."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    rows = pd.DataFrame(x, columns=["a", "b"])
    rows.assign(y=3 * x[:, 0] + 50).to_csv(tmp_path / "numbers.csv", index=False)
    rows.assign(y=np.where(x[:, 0] > 0, "yes", "no")).to_csv(tmp_path / "classes.csv", index=False)
    return Place(tmp_path)


TABLE = ("data=table", "data.target=y", "sweep.name=mine")


def test_a_sweep_of_numbers_is_ranked_by_the_smallest_error(place: Place) -> None:
    words = (*TABLE, "data.path=numbers.csv", "optimizer.lr=0.0001,0.1", "metrics=[mape]")
    output, _ = place.sweep(*words)
    stored = OmegaConf.load(place.folder / "outputs" / "sweeps" / "mine" / "sweep.yaml")
    assert (stored.objective, stored.objective_mode) == ("val/rmse", "min")
    board = pd.read_csv(place.folder / "outputs" / "sweeps" / "mine" / "leaderboard.csv")
    columns = [*board.columns]
    assert columns[columns.index("val/rmse") + 1 :][:3] == ["val/mae", "val/r2", "val/mape"]
    assert board["optimizer.lr"].tolist() == [0.1, 0.0001]
    assert board["val/rmse"].is_monotonic_increasing
    assert board["val/rmse"][0] < board["baseline"][0]
    again, _ = place.sweep(*words)
    assert "2 jobs, 0 to do" in again
    assert again.splitlines()[2:] == output.splitlines()[-len(again.splitlines()) + 2 :]


def test_jobs_with_different_tasks_are_rejected_before_the_first(place: Place) -> None:
    _, errors = place.sweep(*TABLE, "data.path=numbers.csv,classes.csv", code=1)
    assert "1 of 2 jobs cannot work; none was started" in errors
    assert "objective=val/acc (max): the sweep ranks its jobs by val/rmse (min)" in errors
    assert not (place.folder / "outputs" / "sweeps" / "mine").exists()


def test_losses_and_objectives_that_do_not_fit_are_rejected_before_the_first(place: Place) -> None:
    _, errors = place.sweep(*TABLE, "data.path=numbers.csv", "loss=mse,focal", code=1)
    assert "#1 loss=focal\n  loss=focal: does not fit the task" in errors
    _, errors = place.sweep(*TABLE, "data.path=numbers.csv", "objective=val/acc", "seed=0,1", code=1)
    assert "objective=val/acc: not logged in the validation" in errors
    assert not (place.folder / "outputs" / "sweeps" / "mine").exists()
