"""Jobs of another launcher: submitit, in local processes that outlive the sweep."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.sweeps.faults import GATE
from tests.sweeps.sweeping import FAULT, Place, until

pytest.importorskip("submitit")
SUBMITIT = ("hydra/launcher=submitit_local", *FAULT)


def processes(place: Place, name: str) -> dict[int, int]:
    """Return the process of submitit for each job."""
    content = json.loads((place.of(name) / "queue.json").read_text())
    assert {cluster for cluster, _ in content.values()} == {"local"}
    return {int(number): int(process) for number, (_, process) in content.items()}


def children(process: int) -> list[int]:
    """Return the child processes of a process."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def epochs(place: Place, name: str, number: int) -> list[str]:
    """Return the epochs in the log of a job, of all its attempts."""
    file = place.of(name) / str(number) / "run.log"
    log = file.read_text() if file.is_file() else ""
    return [line.partition(": epoch ")[2].partition("/")[0] for line in log.splitlines() if ": epoch " in line]


@pytest.mark.slow
def test_failed_jobs_run_again_with_the_same_command(place: Place) -> None:
    words = ("sweep.name=ends", *SUBMITIT, "+callbacks.fault.kind=none,raise,kill")
    output, _ = place.sweep(*words, code=1, slots=None)
    assert place.statuses("ends", 3) == ["completed", "failed", "failed"]
    lines = [line for line in output.splitlines() if line.startswith("[")]
    assert sorted(line.split("]")[0] for line in lines) == ["[1/3", "[2/3", "[3/3"]
    assert "1 failed: RuntimeError: the cable is loose: #1" in output
    assert "1 failed: it ended without a result: #2" in output
    assert sorted(place.attempts("ends")) == [(0, "completed"), (1, "failed"), (2, "failed")]
    before = (place.of("ends") / "0" / "result.json").stat().st_mtime_ns
    (place.folder / "cured").touch()
    output, _ = place.sweep(*words, slots=None)
    assert "3 jobs, 2 to do" in output
    assert place.statuses("ends", 3) == ["completed"] * 3
    assert (place.of("ends") / "0" / "result.json").stat().st_mtime_ns == before
    assert len(place.attempts("ends")) == 5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_jobs_outlive_the_sweep_and_are_not_started_twice(place: Place) -> None:
    words = ("sweep.name=outlive", *SUBMITIT, "trainer.max_epochs=4", "+callbacks.fault.gate=2", "seed=0,1")
    first = place.start(*words, slots=None)
    until(
        lambda: all(
            (place.of("outlive") / f"{n}" / "run.log").is_file() and epochs(place, "outlive", n) for n in (0, 1)
        )
    )
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    for stream in (first.stdout, first.stderr):  # its jobs inherited them, so they stay open
        assert stream is not None
        stream.close()
    jobs = processes(place, "outlive")
    _, errors = place.sweep(*(word for word in words if word != SUBMITIT[0]), code=1)
    assert "2 of its jobs wait or run as" in errors
    assert "accepted: hydra/launcher=submitit_local, to resume them" in errors
    second = place.start(*words, slots=None)
    assert second.stdout is not None
    while not re.match("queue +[12] of them wait or run already", second.stdout.readline()):
        assert second.poll() is None
    [preempted] = children(jobs[0])
    os.kill(preempted, signal.SIGUSR2)  # as a cluster does before it ends a job
    (place.folder / GATE).touch()
    output, errors = second.communicate(timeout=600)
    assert second.returncode == 0, output + errors
    assert processes(place, "outlive") == jobs, "nothing was submitted again"
    whole = [str(epoch) for epoch in range(1, 5)]
    assert epochs(place, "outlive", 1) == whole
    assert epochs(place, "outlive", 0) == whole, "it resumes after the last complete epoch"
    assert "resuming from" in (place.of("outlive") / "0" / "run.log").read_text()
    assert place.statuses("outlive", 2) == ["completed", "completed"]


@pytest.mark.slow
def test_fail_fast_cancels_jobs_in_the_queue(place: Place) -> None:
    kinds = ("+callbacks.fault.kind=raise,none", "trainer.max_epochs=10000", "+callbacks.fault.pause=1.0")
    place.sweep("sweep.name=fast", *SUBMITIT, *kinds, "sweep.fail_fast=true", code=1, slots=None)
    assert place.statuses("fast", 2) == ["failed", "interrupted"]
    assert sorted(place.attempts("fast")) == [(0, "failed"), (1, "running")]
