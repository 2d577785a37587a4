"""What a sweep says in the end: ranks, ties, effects, edges, and the files that hold them."""

import math
import os
import statistics
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.sweeping import table
from tests.sweeps.synthetic import completed, stored
from trainyard.errors import ConfigError
from trainyard.history.find_run import find_checkpoint, find_run
from trainyard.sweeps.leaderboard.ranking import main_effects, suggest_values
from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
from trainyard.sweeps.stored import StoredSweep

FAILED = {"status": "failed", "error": "RuntimeError: no"}


def test_the_best_comes_first_and_what_has_no_score_last(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c,d,e"], [0.5, FAILED, 0.75, None, 0.25]).rows
    assert [row.values["model"] for row in rows] == ["c", "a", "e", "b", "d"]
    assert [row.status for row in rows] == ["completed"] * 3 + ["failed", "waiting"]
    assert [row.tied for row in rows] == [True, False, False, False, False]
    assert math.isnan(rows[0].std)


def test_a_loss_is_better_the_smaller_it_is(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c"], [0.5, 0.75, 0.25], "val/loss").rows
    assert [row.values["model"] for row in rows] == ["c", "a", "b"]


def test_seeds_repeat_a_configuration(tmp_path: Path) -> None:
    scores = [0.5, 0.7, 0.9, 0.8, 0.8, 0.86]
    rows = stored(tmp_path, ["model=a,b", "seed=0,1,2"], scores).rows
    assert [row.values for row in rows] == [{"model": "b"}, {"model": "a"}]
    assert [row.mean for row in rows] == pytest.approx([0.82, 0.7])
    assert [row.std for row in rows] == pytest.approx([statistics.stdev(scores[3:]), statistics.stdev(scores[:3])])
    assert [[job.number for job in row.jobs] for row in rows] == [[3, 4, 5], [0, 1, 2]]
    assert [row.best.number for row in rows] == [5, 2], "the best run of each"


@pytest.mark.parametrize("seed", ["+seed", "++seed", "data.fold", "+data.fold", "data.seed"])
def test_a_replicate_is_one_however_it_is_typed(tmp_path: Path, seed: str) -> None:
    sweep = stored(tmp_path, ["lr=1,2,4", f"{seed}=0,1"], [0.1, 0.3, 0.5, 0.5, 0.6, 0.8])
    assert [row.values for row in sweep.rows] == [{"lr": "4"}, {"lr": "2"}, {"lr": "1"}]
    assert list(main_effects(sweep.rows, sweep.space.axes)) == ["lr"]
    assert suggest_values(sweep.rows, sweep.space.axes)[-1].endswith(f"-m lr=4,8,16 {seed}=0,1")
    alone = stored(tmp_path / "alone", [f"{seed}=1,2,3"], [0.1, 0.2, 0.3])
    assert suggest_values(alone.rows, alone.space.axes) == []


def test_folds_and_seeds_count_together(tmp_path: Path) -> None:
    scores = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    [row] = stored(tmp_path, ["seed=0,1", "data.fold=range(3)", "data.folds=3"], scores).rows
    assert (row.values, len(row.scores), row.mean) == ({}, 6, pytest.approx(0.75))
    assert row.std == pytest.approx(statistics.stdev(scores))


def test_a_lucky_fold_does_not_win_before_the_others_are_done(tmp_path: Path) -> None:
    words, pruned = ["lr=1,2,3", "data.fold=range(2)"], completed(0.9, status="pruned")
    rows = stored(tmp_path / "waiting", words, [0.99, None, 0.6, 0.6, 0.7, 0.7]).rows
    assert [row.values["lr"] for row in rows] == ["3", "2", "1"]
    rows = stored(tmp_path / "pruned", words, [0.99, pruned, 0.6, 0.6, FAILED, FAILED]).rows
    assert [row.values["lr"] for row in rows] == ["2", "1", "3"]
    rows = stored(tmp_path / "begun", words, [0.8, None, 0.9, None, None, None]).rows
    assert [row.values["lr"] for row in rows] == ["2", "1", "3"], "where none is complete, the best so far"


def test_the_row_of_the_winner_shows_the_run_that_best_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scores = [0.1, 0.99, 0.5, 0.8, 0.9, 0.7]
    sweep = stored(tmp_path / "outputs" / "sweeps" / "mine", ["lr=1,2", "data.fold=range(3)"], scores)
    write_report(sweep)
    best, other = table(sweep.folder / "leaderboard.csv")
    assert find_checkpoint("best:mine") == find_run("best:mine").folder / "checkpoints" / "best.ckpt"
    assert find_checkpoint("best:mine").samefile(sweep.folder / best["checkpoint"])
    assert find_run("best:mine").name == "mine/4", "not the lucky fold of lr=1"
    assert (best["val/acc"], best["test/acc"]) == ("0.8000 ± 0.1000 (3)", "0.4000 ± 0.0500 (3)")
    assert (other["val/acc"], other["test/acc"]) == ("0.5300 ± 0.4458 (3)", "")
    lines = leaderboard_text(sweep).splitlines()
    assert "mean ± standard deviation (runs) over data.fold; epoch and checkpoint are those of the best run" in lines
    assert "best:mine is run 4: val/acc 0.9000, test/acc 0.4500" in lines


def test_the_baseline_stands_beside_the_score(tmp_path: Path) -> None:
    def scored(score: float, share: float) -> dict[str, Any]:
        return completed(score, baseline={"class": "no", "val/acc": share, "test/acc": 0.5})

    results = [scored(0.7, 0.75), scored(0.8, 0.77), 0.6, 0.6]
    sweep = stored(tmp_path / "mine", ["lr=1,2", "data.fold=0,1"], results)
    write_report(sweep)
    assert [row["baseline"] for row in table(tmp_path / "mine" / "leaderboard.csv")] == ["0.7600", ""]
    best = "best:mine is run 1: val/acc 0.8000 (always 'no': 0.7700), test/acc 0.4000 (always 'no': 0.5000)"
    assert best in leaderboard_text(sweep)


def test_seconds_are_those_of_a_run(tmp_path: Path) -> None:
    results = [completed(0.5, seconds=seconds) for seconds in (1.0, 2.0, 6.0)]
    head, row, *_ = leaderboard_text(stored(tmp_path / "folds", ["data.fold=range(3)"], results)).splitlines()
    assert "mean seconds" in head
    assert "3.0" in row.split()
    alone = leaderboard_text(stored(tmp_path / "alone", ["lr=1,2"], results[:2])).splitlines()[0]
    assert "seconds" in alone
    assert "mean" not in alone


def test_an_edge_that_is_no_better_than_what_lies_within_is_none(tmp_path: Path) -> None:
    equal = stored(tmp_path / "equal", ["lr=1,2,4"], [0.5, 0.5, 0.3])
    assert suggest_values(equal.rows, equal.space.axes) == []
    better = stored(tmp_path / "better", ["lr=1,2,4"], [0.5, 0.4, 0.5])
    assert suggest_values(better.rows, better.space.axes)[0] == "lr=1 is the lowest value tried"


def test_seeds_that_failed_do_not_count(tmp_path: Path) -> None:
    [row] = stored(tmp_path, ["model=a", "seed=0,1,2"], [FAILED, 0.5, 0.7]).rows
    assert (row.mean, row.best.number, row.status) == (pytest.approx(0.6), 2, "2 completed, 1 failed")


# Standard error of the difference of two means of three seeds each, of spread s and t: sqrt(s^2/3 + t^2/3).
@pytest.mark.parametrize(("distance", "tied"), [(0.0, True), (0.016, True), (0.0164, False), (0.1, False)])
def test_ties_are_those_within_two_standard_errors(tmp_path: Path, distance: float, tied: bool) -> None:
    """Spread 0.01 each: two standard errors are 2 * sqrt(2 * 0.0001 / 3) = 0.01633."""
    best = [0.79, 0.80, 0.81]
    rows = stored(tmp_path, ["model=a,b", "seed=0,1,2"], [*best, *(score - distance for score in best)]).rows
    assert [row.tied for row in rows] == [True, tied]


def test_of_single_runs_equals_alone_are_tied(tmp_path: Path) -> None:
    rows = stored(tmp_path, ["model=a,b,c"], [0.75, 0.75, 0.7499]).rows
    assert [row.tied for row in rows] == [True, True, False]


def test_the_table_a_person_reads(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["lr=1,2,3", "seed=0,1"], [0.5, 0.7, 0.9, 0.9, FAILED, FAILED])
    head, first, second, third, *rest = leaderboard_text(sweep).splitlines()
    assert head.split() == ["rank", "lr", "status", "val/acc", "epoch", "mean", "seconds", "checkpoint", "test/acc"]
    assert first.split() == [
        *("1", "2", "completed", "0.9000", "±", "0.0000", "(2)", "2", "1.5", "2/checkpoints/best.ckpt"),
        *("0.4500", "±", "0.0000", "(2)"),
    ]
    assert second.split()[-1] == "1/checkpoints/best.ckpt", "the test score of the winner alone"
    assert second.split()[:6] == ["2", "1", "completed", "0.6000", "±", "0.1414"]
    assert third.split() == ["3", "3", "failed"]
    assert rest[-1] == "lr: 1 0.6000, 2 0.9000"
    assert "0.3000 ± 0.0707 (2)" in leaderboard_text(sweep, test=True).splitlines()[2]


def test_a_long_leaderboard_is_cut_on_the_screen_alone(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["lr=range(1,31)"], [number / 100 for number in range(30)])
    assert "... 10 more in leaderboard.csv" in leaderboard_text(sweep)
    write_report(sweep)
    assert [row["rank"] for row in table(tmp_path / "leaderboard.csv")] == [str(rank) for rank in range(1, 31)]


def test_the_files_say_the_same(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,'b|c'", "lr=0.1,1,10"], [0.1, 0.2, 0.3, 0.4, FAILED, 0.9])
    write_report(sweep)
    rows = table(tmp_path / "leaderboard.csv")
    assert [row["val/acc"] for row in rows] == ["0.9000", "0.4000", "0.3000", "0.2000", "0.1000", ""]
    assert [row["test/acc"] for row in rows] == ["0.4500", "", "", "", "", ""]
    lines = (tmp_path / "leaderboard.md").read_text().splitlines()
    assert lines[0] == f"# {tmp_path.name}"
    marked = [line for line in lines if line.startswith("|")]
    assert marked[0] == f"| {' | '.join(rows[0])} |"
    assert [line.split("|")[1].strip() for line in marked[2:]] == ["1", "2", "3", "4", "5", "6"]
    assert len({line.replace("\\|", "").count("|") for line in marked}) == 1, "a bar in a value is none of the table"
    assert "- `lr`: 0.1 0.2500, 1 0.2000, 10 0.6000" in lines
    assert "- lr=10 is the highest value tried" in lines
    assert lines[-1].startswith("- try next: python train.py -m ")
    assert lines[-1].endswith("lr=10,100,1000")
    picture = (tmp_path / "leaderboard.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 800
    assert height > 400
    assert not list(tmp_path.glob(".leaderboard*"))


def test_nothing_to_draw_where_nothing_has_a_score(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [FAILED, None])
    write_report(sweep)
    assert [row["status"] for row in table(tmp_path / "leaderboard.csv")] == ["failed", "waiting"]
    assert "model`" not in (tmp_path / "leaderboard.md").read_text()
    assert len(leaderboard_text(sweep).splitlines()) == 3, "no effect and no best of no score"
    assert not (tmp_path / "leaderboard.png").exists()


def test_weights_that_were_not_kept_are_not_named(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [0.5, 0.7])
    (tmp_path / "0" / "checkpoints" / "best.ckpt").unlink()
    write_report(sweep)
    assert [r["checkpoint"] for r in table(tmp_path / "leaderboard.csv")] == ["1/checkpoints/best.ckpt", "not kept"]


def test_a_sweep_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored(tmp_path / "outputs" / "sweeps" / "mine", ["model=a,b"], [0.5, completed(0.7)])
    assert len(StoredSweep.find("mine").jobs) == 2
    with pytest.raises(ConfigError, match="did you mean mine"):
        StoredSweep.find("mien")


def test_the_command_prints_and_writes_the_leaderboard(tmp_path: Path) -> None:
    stored(tmp_path / "mine", ["model=a,b", "seed=0,1"], [0.5, 0.5, 0.7, 0.7])

    def leaderboard(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trainyard", "leaderboard", *words]
        ascii_alone = {**os.environ, "PYTHONIOENCODING": "ascii"}
        return subprocess.run(command, cwd=tmp_path, env=ascii_alone, capture_output=True, text=True, check=False)

    for name in ("", "../evil"):
        done = leaderboard("mine", "--promote", name)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not a valid name of an experiment" in done.stderr
        assert not (tmp_path / "mine" / "leaderboard.csv").exists()

    done = leaderboard("mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.2500" not in done.stdout
    assert "0.7000 ? 0.0000 (2)" in done.stdout
    assert (tmp_path / "mine" / "leaderboard.png").is_file()
    done = leaderboard("mine", "--test")
    assert "0.2500" in done.stdout
    assert "choose by validation" in done.stdout.splitlines()[0]
    done = leaderboard("yours")
    assert done.returncode == 1
    assert "there is no such sweep" in done.stderr
    assert "Traceback" not in done.stderr
