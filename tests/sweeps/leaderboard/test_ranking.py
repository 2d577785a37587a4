"""Ranks, ties, effects of axes and range warnings."""

import math
import statistics
from pathlib import Path

import pytest

from tests.sweeps.synthetic import completed, stored
from trainyard.sweeps.job import Job
from trainyard.sweeps.leaderboard.ranking import main_effects, range_warnings

FAILED = {"status": "failed", "error": "RuntimeError: no"}


def test_rows_are_sorted_by_score_with_missing_scores_last(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c,d,e"], [0.5, FAILED, 0.75, None, 0.25]).rows
    assert [row.values["model"] for row in rows] == ["c", "a", "e", "b", "d"]
    assert [row.status for row in rows] == ["completed"] * 3 + ["failed", "waiting"]
    assert [row.tied for row in rows] == [True, False, False, False, False]
    assert math.isnan(rows[0].std)


def test_the_score_of_a_job_is_read_a_few_times_for_any_number_of_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = stored(
        tmp_path, [f"optimizer.lr={','.join(map(str, range(1, 41)))}"], [number / 40 for number in range(40)]
    )
    read, original = [], Job.score
    monkeypatch.setattr(Job, "score", property(lambda job: read.append(1) or original.fget(job)))  # type: ignore[attr-defined]
    rows = sweep.rows
    effects = main_effects(rows, sweep.space.axes)
    assert list(effects["optimizer.lr"].values()) == [number / 40 for number in range(40)]
    assert len(read) <= 3 * 40


def test_the_smallest_loss_is_first(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c"], [0.5, 0.75, 0.25], "val/loss").rows
    assert [row.values["model"] for row in rows] == ["c", "a", "b"]


def test_seeds_of_a_configuration_share_a_row(tmp_path: Path) -> None:
    scores = [0.5, 0.7, 0.9, 0.8, 0.8, 0.86]
    rows = stored(tmp_path, ["model=a,b", "seed=0,1,2"], scores).rows
    assert [row.values for row in rows] == [{"model": "b"}, {"model": "a"}]
    assert [row.mean for row in rows] == pytest.approx([0.82, 0.7])
    assert [row.std for row in rows] == pytest.approx([statistics.stdev(scores[3:]), statistics.stdev(scores[:3])])
    assert [[job.number for job in row.jobs] for row in rows] == [[3, 4, 5], [0, 1, 2]]
    assert [row.best.number for row in rows] == [5, 2], "the best job of each"


@pytest.mark.parametrize("seed", ["+seed", "++seed", "data.fold", "+data.fold", "data.seed"])
def test_replicates_with_any_prefix_are_not_axes(tmp_path: Path, seed: str) -> None:
    sweep = stored(tmp_path, ["lr=1,2,4", f"{seed}=0,1"], [0.1, 0.3, 0.5, 0.5, 0.6, 0.8])
    assert [row.values for row in sweep.rows] == [{"lr": "4"}, {"lr": "2"}, {"lr": "1"}]
    assert list(main_effects(sweep.rows, sweep.space.axes)) == ["lr"]
    assert range_warnings(sweep.rows, sweep.space.axes) == ["lr=4 is the highest value tried"]
    alone = stored(tmp_path / "alone", [f"{seed}=1,2,3"], [0.1, 0.2, 0.3])
    assert range_warnings(alone.rows, alone.space.axes) == []


def test_folds_and_seeds_are_averaged_together(tmp_path: Path) -> None:
    scores = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    [row] = stored(tmp_path, ["seed=0,1", "data.fold=range(3)", "data.folds=3"], scores).rows
    assert (row.values, len(row.scores), row.mean) == ({}, 6, pytest.approx(0.75))
    assert row.std == pytest.approx(statistics.stdev(scores))


def test_incomplete_configurations_rank_after_complete_ones(tmp_path: Path) -> None:
    words, pruned = ["lr=1,2,3", "data.fold=range(2)"], completed(0.9, status="pruned")
    rows = stored(tmp_path / "waiting", words, [0.99, None, 0.6, 0.6, 0.7, 0.7]).rows
    assert [row.values["lr"] for row in rows] == ["3", "2", "1"]
    rows = stored(tmp_path / "pruned", words, [0.99, pruned, 0.6, 0.6, FAILED, FAILED]).rows
    assert [row.values["lr"] for row in rows] == ["2", "1", "3"]
    rows = stored(tmp_path / "started", words, [0.8, None, 0.9, None, None, None]).rows
    assert [row.values["lr"] for row in rows] == ["2", "1", "3"], "without complete ones, by the mean so far"


def test_failed_seeds_are_not_averaged(tmp_path: Path) -> None:
    [row] = stored(tmp_path, ["model=a", "seed=0,1,2"], [FAILED, 0.5, 0.7]).rows
    assert (row.mean, row.best.number, row.status) == (pytest.approx(0.6), 2, "2 completed, 1 failed")


# Standard error of the difference of two means of three seeds each, of spread s and t: sqrt(s^2/3 + t^2/3).
@pytest.mark.parametrize(("distance", "tied"), [(0.0, True), (0.016, True), (0.0164, False), (0.1, False)])
def test_means_within_two_standard_errors_are_tied(tmp_path: Path, distance: float, tied: bool) -> None:
    """Spread 0.01 each: two standard errors are 2 * sqrt(2 * 0.0001 / 3) = 0.01633."""
    best = [0.79, 0.80, 0.81]
    rows = stored(tmp_path, ["model=a,b", "seed=0,1,2"], [*best, *(score - distance for score in best)]).rows
    assert [row.tied for row in rows] == [True, tied]


def test_single_runs_are_tied_only_if_equal(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c"], [0.75, 0.75, 0.7499]).rows
    assert [row.tied for row in rows] == [True, True, False]


def test_the_effect_of_a_value_is_its_mean_score(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b", "lr=1,2", "seed=0,1"], [0.1, 0.3, 0.5, 0.5, 0.6, 0.8, FAILED, FAILED])
    assert main_effects(sweep.rows, sweep.space.axes) == {
        "model": {"a": pytest.approx(0.35), "b": pytest.approx(0.7)},
        "lr": {"1": pytest.approx(0.45), "2": pytest.approx(0.5)},
    }


@pytest.mark.parametrize(
    ("word", "scores", "warning"),
    [
        ("lr=0.001,0.01,0.1", [0.1, 0.2, 0.3], "lr=0.1 is the highest value tried"),
        ("lr=0.1,0.001,0.01", [0.1, 0.3, 0.2], "lr=0.001 is the lowest value tried"),
        ("shift=-2,-1,0", [0.1, 0.2, 0.3], "shift=0 is the highest value tried"),
        ("lr=1,2,4", [0.5, 0.4, 0.5], "lr=1 is the lowest value tried"),
        ("lr=1,2,4", [0.5, 0.5, 0.3], None),
        ("dropout=0,0.1,0.2", [0.3, 0.2, 0.1], None),
        ("lr=1,2,3", [0.1, 0.3, 0.2], None),
        ("lr=1,2", [0.1, 0.2], None),
        ("model=a,b,c", [0.1, 0.2, 0.3], None),
        ("lr=1,2,null", [0.1, 0.2, 0.15], None),
        ("seed=1,2,3", [0.1, 0.2, 0.3], None),
        ("lr=1,2,3", [FAILED, FAILED, FAILED], None),
    ],
)
def test_a_best_value_at_the_end_of_its_range_gives_a_warning(
    tmp_path: Path, word: str, scores: list[float], warning: str | None
) -> None:
    sweep = stored(tmp_path, [word], scores)
    assert range_warnings(sweep.rows, sweep.space.axes) == ([warning] if warning else [])
