"""The leaderboard as text, files and picture, and failures by cause."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.sweeping import table
from tests.sweeps.synthetic import completed, stored
from trainyard.history.find_run import find_checkpoint, find_run
from trainyard.io.errors import ConfigError
from trainyard.sweeps.leaderboard.report import group_failures, leaderboard_text, write_report
from trainyard.sweeps.stored import StoredSweep

FAILED = {"status": "failed", "error": "RuntimeError: no"}


def test_the_first_row_shows_the_run_that_best_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scores = [0.1, 0.99, 0.5, 0.8, 0.9, 0.7]
    sweep = stored(tmp_path / "outputs" / "sweeps" / "mine", ["lr=1,2", "data.fold=range(3)"], scores)
    write_report(sweep)
    best, other = table(sweep.folder / "leaderboard.csv")
    assert find_checkpoint("best:mine") == find_run("best:mine").folder / "checkpoints" / "best.ckpt"
    assert find_checkpoint("best:mine").samefile(sweep.folder / best["checkpoint"])
    assert find_run("best:mine").name == "mine/4", "although a fold of lr=1 has a higher score"
    assert (best["val/acc"], best["test/acc"]) == ("0.8000 ± 0.1000 (3)", "0.4000 ± 0.0500 (3)")
    assert (other["val/acc"], other["test/acc"]) == ("0.5300 ± 0.4458 (3)", "")
    lines = leaderboard_text(sweep).splitlines()
    assert "mean ± standard deviation (runs) over data.fold; epoch and checkpoint are those of the best run" in lines
    assert "best:mine is run 4: val/acc 0.9000, test/acc 0.4500" in lines


def test_the_baseline_has_a_column(tmp_path: Path) -> None:
    def scored(score: float, share: float) -> dict[str, Any]:
        return completed(score, baseline={"class": "no", "val/acc": share, "test/acc": 0.5})

    results = [scored(0.7, 0.75), scored(0.8, 0.77), 0.6, 0.6]
    sweep = stored(tmp_path / "mine", ["lr=1,2", "data.fold=0,1"], results)
    write_report(sweep)
    assert [row["baseline"] for row in table(tmp_path / "mine" / "leaderboard.csv")] == ["0.7600", ""]
    best = "best:mine is run 1: val/acc 0.8000 (always 'no': 0.7700), test/acc 0.4000 (always 'no': 0.5000)"
    assert best in leaderboard_text(sweep)


def test_seconds_are_the_mean_over_the_runs(tmp_path: Path) -> None:
    results = [completed(0.5, seconds=seconds) for seconds in (1.0, 2.0, 6.0)]
    head, row, *_ = leaderboard_text(stored(tmp_path / "folds", ["data.fold=range(3)"], results)).splitlines()
    assert "mean seconds" in head
    assert "3.0" in row.split()
    alone = leaderboard_text(stored(tmp_path / "alone", ["lr=1,2"], results[:2])).splitlines()[0]
    assert "seconds" in alone
    assert "mean" not in alone


def test_the_table_has_means_of_replicates_and_test_scores_of_the_best(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["lr=1,2,3", "seed=0,1"], [0.5, 0.7, 0.9, 0.9, FAILED, FAILED])
    head, first, second, third, *rest = leaderboard_text(sweep).splitlines()
    assert head.split() == ["rank", "lr", "status", "val/acc", "epoch", "mean", "seconds", "checkpoint", "test/acc"]
    assert first.split() == [
        *("1", "2", "completed", "0.9000", "±", "0.0000", "(2)", "2", "1.5", "2/checkpoints/best.ckpt"),
        *("0.4500", "±", "0.0000", "(2)"),
    ]
    assert second.split()[-1] == "1/checkpoints/best.ckpt", "only the best has a test score"
    assert second.split()[:6] == ["2", "1", "completed", "0.6000", "±", "0.1414"]
    assert third.split() == ["3", "3", "failed"]
    assert rest[-1] == "lr: 1 0.6000, 2 0.9000"
    assert "0.3000 ± 0.0707 (2)" in leaderboard_text(sweep, test=True).splitlines()[2]


def test_a_long_leaderboard_is_complete_only_in_its_files(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["lr=range(1,31)"], [number / 100 for number in range(30)])
    assert "... 10 more in leaderboard.csv" in leaderboard_text(sweep)
    write_report(sweep)
    assert [row["rank"] for row in table(tmp_path / "leaderboard.csv")] == [str(rank) for rank in range(1, 31)]


def test_csv_markdown_and_picture_are_written(tmp_path: Path) -> None:
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
    assert len({line.replace("\\|", "").count("|") for line in marked}) == 1, "a bar in a value does not add a column"
    assert "- `lr`: 0.1 0.2500, 1 0.2000, 10 0.6000" in lines
    assert lines[-1] == "- lr=10 is the highest value tried"
    picture = (tmp_path / "leaderboard.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 800
    assert height > 400
    assert not list(tmp_path.glob(".leaderboard*"))


def test_no_picture_is_drawn_without_scores(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [FAILED, None])
    write_report(sweep)
    assert [row["status"] for row in table(tmp_path / "leaderboard.csv")] == ["failed", "waiting"]
    assert "model`" not in (tmp_path / "leaderboard.md").read_text()
    assert len(leaderboard_text(sweep).splitlines()) == 3, "neither effects nor a best run"
    assert not (tmp_path / "leaderboard.png").exists()


def test_removed_checkpoints_are_not_named(tmp_path: Path) -> None:
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
    assert "unknown sweep" in done.stderr
    assert "Traceback" not in done.stderr


def test_failures_are_grouped_by_cause(tmp_path: Path) -> None:
    memory = {"status": "failed", "error": "killed by SIGKILL\nmore"}
    results = [0.5, 0.5, FAILED, memory, FAILED, memory]
    sweep = stored(tmp_path, ["model=a,b,c", "lr=1,2"], results)
    assert group_failures(sweep.jobs, list(sweep.space.axes)) == [
        "2 failed: RuntimeError: no: #2, #4",
        "2 failed: killed by SIGKILL: #3, #5",
    ]
    other = stored(tmp_path / "other", ["model=a,b", "lr=1,2"], [0.5, 0.5, FAILED, FAILED])
    assert group_failures(other.jobs, list(other.space.axes)) == [
        "2 failed: RuntimeError: no (all 2 have model=b): #2, #3",
    ]
    assert group_failures(stored(tmp_path / "good", ["model=a,b"], [0.5, 0.5]).jobs, ["model"]) == []


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("\n\nno memory\nmore", "no memory"),
        ("ValueError: \n  it is wrong\nmore", "ValueError: it is wrong"),
        ("ValueError: ", "ValueError"),
        (" \n", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_cause_is_the_first_line_of_the_error(tmp_path: Path, error: str | None, cause: str) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [0.5, {"status": "failed", "error": error}])
    assert group_failures(sweep.jobs, list(sweep.space.axes)) == [f"1 failed: {cause}: #1"]
