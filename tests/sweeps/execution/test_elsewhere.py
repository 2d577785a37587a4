"""Jobs that another launcher runs: here submitit's, in processes on this machine that outlive the sweep."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.sweeps.sweeping import FAULT, Place, kill, until

pytest.importorskip("submitit")
SUBMITIT = ("hydra/launcher=submitit_local", *FAULT)


def processes(place: Place, name: str) -> dict[int, int]:
    """The process of submitit that looks after each job."""
    content = json.loads((place.of(name) / "queue.json").read_text())
    assert {cluster for cluster, _ in content.values()} == {"local"}
    return {int(number): int(process) for number, (_, process) in content.items()}


def children(process: int) -> list[int]:
    """The processes that one has started."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def epochs(place: Place, name: str, number: int) -> list[str]:
    """The epochs that a job has gone through, in all its attempts."""
    file = place.of(name) / str(number) / "run.log"
    log = file.read_text() if file.is_file() else ""
    return [line.partition(": epoch ")[2].partition("/")[0] for line in log.splitlines() if ": epoch " in line]


def test_each_job_ends_by_itself_and_the_same_command_goes_on(place: Place) -> None:
    words = ("sweep.name=ends", *SUBMITIT, "+callbacks.fault.kind=none,raise,kill,exit")
    said, _ = place.sweep(*words, code=1, slots=None)
    assert place.statuses("ends", 4) == ["completed", "failed", "failed", "interrupted"]
    lines = [line for line in said.splitlines() if line.startswith("[")]
    assert sorted(line.split("]")[0] for line in lines) == ["[1/4", "[2/4", "[3/4", "[4/4"]
    assert "1 failed: RuntimeError: the cable is loose: #1" in said
    assert "1 failed: it ended without a result: #2" in said
    assert "1 not done: #3; the same command goes on with them" in said
    ends = {0: "completed", 1: "failed", 2: "failed", 3: "interrupted"}
    assert dict(place.attempts("ends")) == ends
    before = (place.of("ends") / "0" / "result.json").stat().st_mtime_ns
    (place.folder / "cured").touch()
    said, _ = place.sweep(*words, slots=None)
    assert "4 jobs, 3 to do" in said
    assert place.statuses("ends", 4) == ["completed"] * 4
    assert (place.of("ends") / "0" / "result.json").stat().st_mtime_ns == before
    assert len(place.attempts("ends")) == 7


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")
def test_jobs_outlive_the_sweep_and_are_not_started_twice(place: Place) -> None:
    words = ("sweep.name=outlive", *SUBMITIT, "trainer.max_epochs=6", "+callbacks.fault.pause=1.5", "seed=0,1")
    first = place.start(*words, slots=None)
    until(
        lambda: all(
            (place.of("outlive") / f"{n}" / "run.log").is_file() and epochs(place, "outlive", n) for n in (0, 1)
        )
    )
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    jobs = processes(place, "outlive")
    second = place.start(*words, slots=None)
    try:
        until(lambda: (place.of("outlive") / "holder").is_file())
        [preempted] = children(jobs[0])
        os.kill(preempted, signal.SIGUSR2)  # as a cluster says that it wants the machine back
        said, errors = second.communicate(timeout=120)
    finally:
        kill(first)
    assert second.returncode == 0, said + errors
    assert "queue      2 of them wait or run already" in said
    assert processes(place, "outlive") == jobs, "nothing was submitted again"
    assert epochs(place, "outlive", 1) == ["1", "2", "3", "4", "5", "6"]
    gone_through = epochs(place, "outlive", 0)
    assert gone_through == ["1", "2", "3", "4", "5", "6"], "it goes on from the last whole epoch"
    assert "going on from" in (place.of("outlive") / "0" / "run.log").read_text()
    assert place.statuses("outlive", 2) == ["completed", "completed"]
