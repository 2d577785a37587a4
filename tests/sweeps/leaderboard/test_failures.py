"""Failures, by their cause."""

from pathlib import Path

import pytest

from tests.sweeps.synthetic import stored
from trainyard.sweeps.leaderboard.report import group_failures

FAILED = {"status": "failed", "error": "RuntimeError: no"}


def test_failures_are_grouped_by_their_cause(tmp_path: Path) -> None:
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
    ("error", "said"),
    [
        ("\n\nno memory\nmore", "no memory"),
        ("ValueError: \n  it is wrong\nmore", "ValueError: it is wrong"),
        ("ValueError: ", "ValueError"),
        (" \n", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_failure_of_one_job_is_told_by_what_is_said_of_it(tmp_path: Path, error: str | None, said: str) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [0.5, {"status": "failed", "error": error}])
    assert group_failures(sweep.jobs, list(sweep.space.axes)) == [f"1 failed: {said}: #1"]
