"""What only serves or shows a run does not change it: workers, the bar, pictures, loggers."""

from pathlib import Path

import pytest

from tests.determinism.tiny_runs import RUNS, Found, run
from tests.terminal.pseudo_terminal import on_screen

CNN = (*RUNS["cnn"], "model.dropout=0.3")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A run with augmentation and dropout, in memory, shown to nobody."""
    return run(tmp_path_factory.mktemp("plain") / "run", *CNN, "data.resident=true")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_change_nothing(workers: int, plain: Found, tmp_path: Path) -> None:
    read = run(tmp_path / "run", *CNN, "data.resident=false", f"data.num_workers={workers}")
    assert read.equals(plain)


def test_a_bar_changes_nothing(plain: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.terminal.display.REDRAW_EVERY", 0.0)  # every step, however fast the machine is
    with on_screen() as screen:
        shown = run(tmp_path / "run", *CNN, "data.resident=true")
    assert sum("to go" in drawing for drawing in screen.drawn) >= 1, "there was a bar"
    assert shown.equals(plain)


@pytest.mark.parametrize("callbacks", ["default", "pictures"])
def test_pictures_and_loggers_change_nothing(callbacks: str, plain: Found, tmp_path: Path) -> None:
    watched = run(tmp_path / "run", *CNN, "data.resident=true", f"callbacks={callbacks}", "logger=both")
    assert watched.weights.keys() == plain.weights.keys()
    assert Found(watched.result, plain.curves, watched.weights).equals(plain)
    curves = [[row[key] for key in ("val/loss", "val/acc")] for row in watched.curves if row["val/loss"]]
    assert curves == [[row[key] for key in ("val/loss", "val/acc")] for row in plain.curves if row["val/loss"]]
