"""The summary at the end of a run."""

from pathlib import Path
from typing import Any

import pytest

from trainyard.run.summary import describe_partial_results, format_curves, format_metrics, format_scores
from trainyard.terminal.invocation import train_command

SCORES = {"val/loss": 0.25, "val/acc": 0.9, "test/loss": 0.5, "test/acc": 0.8}
RESULT: dict[str, Any] = {"metrics": SCORES, "objective": {"name": "val/acc", "value": 0.9, "epoch": 2}, "epochs": 500}
MODES = {"acc": "max", "loss": "min"}
BASELINE = {"class": "no", "val/acc": 0.762, "test/acc": 0.75}


def curves(epochs: int) -> dict[str, list[float]]:
    """Return losses that fall exponentially from 2 to 0.02, and accuracies that rise."""
    loss = [2 * 0.01 ** (epoch / max(1, epochs - 1)) for epoch in range(epochs)]
    accuracy = [epoch / epochs for epoch in range(epochs)]
    return {"train/loss": loss, "train/acc": accuracy, "val/loss": loss, "val/acc": accuracy}


@pytest.mark.parametrize(("epochs", "lines"), [(1, 6), (2, 10), (30, 10), (500, 10)])
def test_the_summary_fits_into_80_columns(tmp_path: Path, epochs: int, lines: int) -> None:
    (tmp_path / "tensorboard").mkdir()
    text = format_scores(RESULT, 12.34, tmp_path, curves(epochs), MODES).splitlines()
    assert len(text) == lines
    assert text[:4] == [
        "               loss       acc",
        "val          0.2500    0.9000",
        "test         0.5000    0.8000",
        "best epoch 2 of 500 (by val/acc), 12.3 s",
    ]
    assert text[-2:] == [f"run        {tmp_path}", f"view       tensorboard --logdir {tmp_path}"]
    assert all(len(line) <= 80 for line in text[:-2])


def test_the_baseline_is_printed_beside_the_accuracy(tmp_path: Path) -> None:
    assert format_scores({**RESULT, "baseline": BASELINE}, 1, tmp_path, {}, MODES).splitlines()[1:3] == [
        "val          0.2500    0.9000 (always 'no': 0.7620)",
        "test         0.5000    0.8000 (always 'no': 0.7500)",
    ]


def test_the_last_line_shows_how_to_view_the_curves(tmp_path: Path) -> None:
    assert format_scores(RESULT, 1, tmp_path, {}, MODES).splitlines()[-1] == f"run        {tmp_path}"
    (tmp_path / "metrics.csv").touch()
    assert format_scores(RESULT, 1, tmp_path, {}, MODES).splitlines()[-1] == f"view       {tmp_path / 'metrics.csv'}"


def test_learning_curves_have_first_last_and_best_values() -> None:
    falling_and_rising = {"val/loss": [2.0, 0.02, 0.1], "val/acc": [0.5, 1.0, 0.75], "train/loss": [2.0, 0.2, 0.0]}
    assert format_curves(falling_and_rising, 80, "val/acc", MODES) == [
        "              first  loss: log scale     last     best",
        "train/loss   2.0000  █▇▁               0.0000   0.0000",
        "val/loss     2.0000  █▁▃               0.1000   0.0200",
        "val/acc      0.5000  ▁█▅               0.7500   1.0000",
    ]


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_learning_curves_fit_the_terminal(columns: int) -> None:
    lines = format_curves(curves(500), columns, "val/acc", MODES)
    assert {len(line) for line in lines} == {min(79, max(54, columns - 1))}


def test_partial_results_contain_the_command_to_resume(tmp_path: Path) -> None:
    run, job = tmp_path / "runs" / "a", tmp_path / "sweeps" / "b" / "0"
    assert describe_partial_results(run) == f"partial results are in {run}"
    for folder in (run, job):
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "last.ckpt").touch()
    _, second = describe_partial_results(run).splitlines()
    assert second == f"resume with: {train_command('resume=a')}"
    assert describe_partial_results(job) == f"partial results are in {job}"


def test_tables_have_the_metrics_of_any_model() -> None:
    metrics = {"val/mse": 0.5, "test/mse": 0.25, "val_loss": 1.0, "val/iou/dataloader_idx_1": 2.0}
    assert format_metrics(metrics, {}, "val/mse") == [
        "               loss       mse     iou/1",
        "val          1.0000    0.5000    2.0000",
        "test                   0.2500",
    ]
    many = format_metrics({f"val/{number}": 1.0 for number in range(9)}, {}, "val/0")
    assert many[0].split() == ["0", "1", "2", "3", "4", "5"]
    assert many[-1] == "3 more metrics are in result.json"


def test_curves_of_any_objective_have_a_best_value_if_its_mode_is_known() -> None:
    found = format_curves({"train/mse": [2.0, 1.0], "val/mse": [4.0, 3.0], "train/x": [1.0, 1.0]}, 80, "val/mse", {})
    assert [line.split() for line in found[1:]] == [
        ["train/mse", "2.0000", "█▁", "1.0000"],
        ["val/mse", "4.0000", "█▁", "3.0000"],
    ]
    [*_, last] = format_curves({"val/mse": [4.0, 3.0, 5.0]}, 80, "val/mse", {"mse": "min"})
    assert last.split()[-1] == "3.0000"
