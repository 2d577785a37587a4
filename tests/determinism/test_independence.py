"""Workers, progress bar, figures and loggers do not change the results of a run."""

from pathlib import Path

import pytest

from tests.determinism.tiny_runs import RUNS, RunOutput, run
from tests.terminal.pseudo_terminal import on_screen

CNN = (*RUNS["cnn"], "model.dropout=0.3")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> RunOutput:
    """Run with augmentation and dropout, with data in memory, and without progress bar, figures and loggers."""
    return run(tmp_path_factory.mktemp("reference") / "run", *CNN, "data.resident=true")


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_change_nothing(workers: int, reference: RunOutput, tmp_path: Path) -> None:
    streamed = run(tmp_path / "run", *CNN, "data.resident=false", f"data.num_workers={workers}")
    assert streamed.equals(reference)


def test_progress_bar_changes_nothing(reference: RunOutput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.terminal.display.REDRAW_EVERY", 0.0)  # at every step
    with on_screen() as screen:
        displayed = run(tmp_path / "run", *CNN, "data.resident=true")
    assert sum("to go" in drawing for drawing in screen.drawn) >= 1, "a progress bar was drawn"
    assert displayed.equals(reference)


@pytest.mark.parametrize("callbacks", ["default", pytest.param("pictures", marks=pytest.mark.slow)])
def test_figures_and_loggers_change_nothing(callbacks: str, reference: RunOutput, tmp_path: Path) -> None:
    logged = run(tmp_path / "run", *CNN, "data.resident=true", f"callbacks={callbacks}", "logger=both")
    assert logged.weights.keys() == reference.weights.keys()
    assert RunOutput(logged.result, reference.curves, logged.weights).equals(reference)
    curves = [[row[key] for key in ("val/loss", "val/acc")] for row in logged.curves if row["val/loss"]]
    assert curves == [[row[key] for key in ("val/loss", "val/acc")] for row in reference.curves if row["val/loss"]]
