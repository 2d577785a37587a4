"""Whether one run is better than another by more than noise."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.history.recorded import SPLIT, predict, record
from trainyard.history.saved_predictions import read_predictions
from trainyard.history.scores import binomial_error, compare_scores, estimate_error


def test_the_noise_of_two_accuracies_is_binomial(tmp_path: Path) -> None:
    one, other, near = (record(tmp_path / f"{score}", score) for score in (0.95, 0.7, 0.94))
    error = math.sqrt(0.95 * 0.05 / 100 + 0.7 * 0.3 / 100)
    line = compare_scores(one, other)
    assert line == (
        f"val/acc 0.9500 and 0.7000: A is better by 0.2500, more than the noise of {2 * error:.4f} "
        "(2 standard errors, 100 examples)"
    )
    assert "B is better by 0.0100, less than the noise of" in compare_scores(near, one)
    assert compare_scores(one, one) == "val/acc 0.9500 and 0.9500: the same"


def test_binomial_error_equals_the_spread_of_many_draws() -> None:
    draws = np.random.default_rng(0).binomial(200, 0.9, 20_000) / 200
    assert binomial_error(0.9, 200) == pytest.approx(draws.std(), rel=0.02)


def test_paired_examples_have_a_smaller_error(tmp_path: Path) -> None:
    one, other = record(tmp_path / "one", 0.9), record(tmp_path / "two", 0.8)
    labels = [0] * 100
    predict(one, labels, [1] * 10 + [0] * 90, ["a", "b"])
    predict(other, labels, [1] * 20 + [0] * 80, ["a", "b"])
    error, _ = estimate_error(one, other)
    assert error == pytest.approx(math.sqrt(0.1 * 0.9 / 100)), "ten of a hundred, all in one direction"
    assert "more than the noise of 0.0600 (2 standard errors, paired on 100 examples)" in compare_scores(one, other)


def test_different_examples_are_reported(tmp_path: Path) -> None:
    one = record(tmp_path / "one", 0.95)
    other = record(tmp_path / "two", 0.9, val={**SPLIT, "examples": 50, "inputs": "cc"})
    predict(one, [0, 1], [0, 1], ["a", "b"])
    predict(other, [0, 1], [0, 1], ["a", "b"])
    assert "100 and 50 examples, not the same ones" in compare_scores(one, other)
    unknown = record(tmp_path / "three", 0.9, result={"data": {}})
    assert compare_scores(one, unknown).endswith("A is better by 0.0500; the number of examples is unknown")


def test_loss_objective_is_reported(tmp_path: Path) -> None:
    objective = {"objective": {"name": "val/loss", "value": 0.05, "epoch": 2}}
    one, other = (record(tmp_path / f"{score}", score, result=objective) for score in (0.95, 0.9))
    assert compare_scores(one, other).endswith("; val/loss 0.0500 and 0.1000")


def test_run_without_scores_is_explained(tmp_path: Path) -> None:
    failed = record(tmp_path / "one", result={"status": "failed", "metrics": None, "error": "ValueError: no\nmore"})
    line = compare_scores(failed, record(tmp_path / "two", result=None))
    assert line == "no scores to compare: A is failed (ValueError: no), B is running"


def test_unreadable_predictions_are_none(tmp_path: Path) -> None:
    run = record(tmp_path / "one")
    predict(run, [0, 1], [0, 1], ["a", "b"])
    file = run.folder / "predictions" / "val.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert read_predictions(run.folder) is None
    np.savez(file, probabilities=np.array([object()]), labels=[0], classes=["a"])
    assert read_predictions(run.folder) is None, "which would have to be unpickled"
    for labels, classes in ((0, ["a"]), ([0], "a"), ([[0]], ["a", "b"])):
        np.savez(file, probabilities=np.ones((1, np.size(classes))), labels=labels, classes=classes)
        assert read_predictions(run.folder) is None
