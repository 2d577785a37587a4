"""Scores, intervals and figures of predicted numbers, compared with torchmetrics and numpy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Numbers
from trainyard.history.saved_predictions import read_predictions
from trainyard.reports.mistakes import WorstExamples
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.regression_figures import MAX_POINTS, predicted_against_true_figure, residual_figure
from trainyard.reports.regression_report import RegressionReport

SMALL = NumberPredictions(
    torch.tensor([[1.0], [2.0], [7.0], [4.5]]), torch.tensor([[1.0], [4.0], [3.0], [4.0]]), ("m",)
)


def made_up(examples: int = 200, count: int = 2) -> NumberPredictions:
    """Return numbers in different units, with errors of a tenth of their deviation."""
    draws = torch.Generator().manual_seed(0)
    scale = torch.tensor([1000.0, 0.5, 3.0])[:count]
    targets = (torch.randn(examples, count, generator=draws) + 5) * scale
    noise = torch.randn(examples, count, generator=draws) * scale * torch.tensor([0.1, 0.5, 1.0])[:count]
    return NumberPredictions(targets + noise, targets, ("mass", "length", "age")[:count])


def test_scores_are_those_of_torchmetrics() -> None:
    found = made_up()
    each = [(found.numbers[:, place], found.targets[:, place]) for place in range(2)]
    expected = {
        "rmse": [float(mean_squared_error(*pair, squared=False)) for pair in each],
        "mae": [float(mean_absolute_error(*pair)) for pair in each],
        "r2": [float(r2_score(*pair)) for pair in each],
    }
    scores = found.scores
    assert list(scores) == ["rmse", "mae", "r2", "rmse_mass", "mae_mass", "r2_mass", *(f"{n}_length" for n in expected)]
    for name, values in expected.items():
        assert [scores[f"{name}_mass"], scores[f"{name}_length"]] == pytest.approx(values, rel=1e-5)
        assert scores[name] == pytest.approx(sum(values) / 2, rel=1e-5)


def test_scores_by_hand() -> None:
    assert SMALL.scores == pytest.approx({"rmse": (20.25 / 4) ** 0.5, "mae": 6.5 / 4, "r2": 1 - 20.25 / 6}, rel=1e-12)
    constant = NumberPredictions(torch.ones(3, 1), torch.ones(3, 1), ("m",))
    assert constant.scores == {"rmse": 0.0, "mae": 0.0, "r2": 0.0}, "R² of a constant target is 0, as in training"


def test_intervals_are_those_of_resampled_examples() -> None:
    found = made_up(60)
    draws = torch.Generator().manual_seed(0)
    errors, targets = found.errors.numpy(), found.targets.double().numpy()
    rmse, r2 = [], []
    for _ in range(1000):
        drawn = torch.randint(60, (60,), generator=draws).numpy()
        mse = (errors[drawn] ** 2).mean(axis=0)
        rmse.append(np.sqrt(mse).mean())
        r2.append((1 - mse / targets[drawn].var(axis=0))[1])
    assert found.intervals["rmse"] == pytest.approx(tuple(np.quantile(rmse, [0.025, 0.975])), rel=1e-9)
    assert found.intervals["r2_length"] == pytest.approx(tuple(np.quantile(r2, [0.025, 0.975])), rel=1e-9)


@pytest.mark.slow
def test_intervals_contain_the_true_score_as_often_as_they_say() -> None:
    """The mean absolute error of errors from a normal distribution is sqrt(2 / pi)."""
    draws = torch.Generator().manual_seed(1)
    inside = 0
    for _ in range(100):
        errors = torch.randn(100, 1, generator=draws)
        low, high = NumberPredictions(errors, torch.zeros(100, 1), ("m",)).intervals["mae"]
        inside += low < (2 / np.pi) ** 0.5 < high
    assert 89 <= inside <= 99


def test_baseline_is_the_stored_mean() -> None:
    base = SMALL.baseline({"mean": [3.0], "val/rmse": 9.0})
    assert base.pop("mean") == [3.0]
    assert base == pytest.approx({"test/rmse": 1.5**0.5, "test/mae": 1.0, "test/r2": 0.0})
    for stored in ({}, {"class": "a"}, {"mean": [1.0, 2.0]}, {"mean": ["x"]}, {"mean": 3.0}):
        assert SMALL.baseline(stored) == {}


def test_the_worst_error_is_first() -> None:
    assert SMALL.worst() == [2, 1, 3, 0]
    assert SMALL.worst(1) == [2]
    assert SMALL.describe(1) == ("2", "4", "-2")
    assert SMALL.caption(2) == "7, is 3"
    mixed = NumberPredictions(
        torch.tensor([[100.0, 0.0], [0.0, 0.5]]), torch.tensor([[0.0, 0.0], [900.0, 0.1]]), ("a", "b")
    )
    assert mixed.worst() == [1, 0], "in units of the standard deviation of each number"


def test_predictions_are_saved_and_loaded(tmp_path: Path) -> None:
    found = made_up(20)
    found.save(tmp_path / "predictions" / "val.npz")
    saved = read_predictions(tmp_path)
    assert saved is not None
    assert np.array_equal(saved.predictions, found.numbers)
    assert np.array_equal(saved.targets, found.targets)
    assert saved.names == ["mass", "length"]
    assert read_predictions(tmp_path / "none") is None
    (tmp_path / "predictions" / "val.npz").write_bytes(b"PK\x03\x04 no archive")
    assert read_predictions(tmp_path) is None


def report(found: NumberPredictions, **fields: object) -> RegressionReport:
    spec = DataSpec((1,), Numbers(found.names, (0.0,), (1.0,)), (Column("width"),), (0.0,), (1.0,))
    positions = found.worst()
    worst = WorstExamples(positions, [f"row {place + 1}" for place in positions], found.targets[positions, :1], spec)
    scores = {f"test/{name}": value for name, value in {**found.scores, "loss": 0.25}.items()}
    baseline = found.baseline({"mean": [3.0] * len(found.names)})
    return RegressionReport("run", "best.ckpt", "test split", scores, found, baseline, worst=worst, **fields)


def test_report_has_scores_intervals_and_the_mean_predictor() -> None:
    text = "\n".join(report(SMALL, notes=["a note"]).lines).splitlines()
    low, high = SMALL.intervals["rmse"]
    assert text[0] == "model      run (best.ckpt)"
    assert text[1] == "examples   4: test split"
    assert text[2].split("  ")[0] == "score"
    assert text[2].endswith("always the mean 3")
    assert text[3].split() == ["test/rmse", "2.25", f"[{low:.5g},", f"{high:.5g}]", "1.2247"]
    assert text[6].split() == ["test/loss", "0.25"]
    assert text[7] == "a note"
    assert text[8] == "worst errors:"
    assert text[10].split() == ["row", "3", "7", "3", "+4"]


def test_report_files(tmp_path: Path) -> None:
    found = made_up(50)
    written = report(found).write(tmp_path, "test")
    assert [path.name for path in written] == [
        *("test.json", "test.md", "test_predicted_against_true.png", "test_residuals.png")
    ]
    content = report(found).to_dict()
    assert content["metrics"]["test/rmse_mass"] == found.scores["rmse_mass"]
    assert content["interval"]["test/r2"] == list(found.intervals["r2"])
    assert content["worst"][0]["example"] == f"row {found.worst()[0] + 1}"
    assert len(content["worst"]) == 16
    page = (tmp_path / "test.md").read_text()
    assert "| score | value | 95 % interval | always the mean 3;3 |" in page
    assert "| example | mass predicted | mass true | mass error | length predicted |" in page
    assert "![test_residuals.png](test_residuals.png)" in page


def test_worst_images_are_a_figure(tmp_path: Path) -> None:
    spec = DataSpec((1, 4, 4), Numbers(("m",), (0.0,), (1.0,)), (), (0.0,), (1.0,))
    worst = WorstExamples(SMALL.worst(), ["a.png", "b.png", "c.png", "d.png"], torch.zeros(4, 1, 4, 4).byte(), spec)
    files = RegressionReport("run", "best.ckpt", "test split", {}, SMALL, worst=worst).write(tmp_path, "test")
    assert files[-1].name == "test_worst.png"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_figures_show_each_number(count: int) -> None:
    found = made_up(100, count)
    axes = [axis for axis in predicted_against_true_figure(found).axes if axis.get_title()]
    assert [axis.get_title().split(":")[0] for axis in axes] == list(found.names)
    name = "rmse_mass" if count > 1 else "rmse"
    assert f"rmse {found.scores[name]:.4g}" in axes[0].get_title()
    line = axes[0].get_lines()[-1].get_xydata()
    assert (line[:, 0] == line[:, 1]).all(), "the diagonal"
    assert len(residual_figure(found).axes) == 2 * count


def test_many_examples_are_counted_in_hexagons() -> None:
    few, many = predicted_against_true_figure(made_up(50, 1)), predicted_against_true_figure(made_up(MAX_POINTS + 1, 1))
    assert [len(figure.axes[0].collections) for figure in (few, many)] == [0, 1]
    counts = many.axes[0].collections[0].get_array()
    assert counts.sum() == MAX_POINTS + 1
