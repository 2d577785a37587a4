"""What is known of jobs in a cluster's queue, with a `squeue` that says what it is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.synthetic import completed, stored
from trainyard.io.errors import ConfigError
from trainyard.sweeps.execution import submission
from trainyard.sweeps.execution.submission import (
    ClusterQueue,
    Submission,
    check_nothing_is_queued,
    is_running,
    submission_error,
)
from trainyard.sweeps.sweep import Sweep

STATES = {0: "PENDING", 1: "RUNNING", 2: "COMPLETING", 3: "COMPLETED", 4: "OUT_OF_MEMORY", 5: "TIMEOUT", 6: "CANCELLED"}


class Executor:
    """Takes note of what is submitted."""

    def __init__(self) -> None:
        self.submitted: list[int] = []

    def map_array(self, launcher: object, *columns: Any) -> list[Any]:
        self.submitted += columns[2]
        return [type("Taken", (), {"job_id": f"99_{place}"}) for place, _ in enumerate(columns[2])]


class SlurmLauncher:
    """As hydra-submitit-launcher has them."""

    def __init__(self, folder: Path) -> None:
        self.params = {"submitit_folder": f"{folder}/.submitit/%j"}


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `squeue` that prints the states above; the file to change."""
    script = tmp_path / "bin" / "squeue"
    script.parent.mkdir()
    lines = "".join(f"echo '12_{number} {state}'\n" for number, state in STATES.items())
    script.write_text(f"#!/bin/sh\n{lines}")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(submission, "CONFIRM_AFTER", 0.0)
    return script


def remembered(folder: Path) -> ClusterQueue:
    """A sweep whose jobs were submitted; SLURM does not know the last any more."""
    folder.mkdir(exist_ok=True)
    ClusterQueue(folder).add({number: ("slurm", f"12_{number}") for number in [*STATES, 7]})
    return ClusterQueue.load(folder)


def test_what_waits_and_what_has_ended(tmp_path: Path, squeue: Path) -> None:
    there = remembered(tmp_path / "sweep")
    assert there.pending(set(range(9))) == {0, 1, 2}, "8 was never submitted"
    assert there.ended({0, 2, 4, 7}) == {4: "OUT_OF_MEMORY", 7: ""}


def test_nothing_is_submitted_while_slurm_does_not_answer(tmp_path: Path, squeue: Path) -> None:
    squeue.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    there = remembered(tmp_path / "sweep")
    with pytest.raises(ConfigError, match=r"squeue does not respond .Unable to contact slurm controller") as error:
        there.pending({0})
    assert f"remove {tmp_path}" in str(error.value)
    assert there.pending({8}) == set(), "of what was never submitted it need not be asked"


def test_another_launcher_is_refused_while_jobs_wait(tmp_path: Path, squeue: Path) -> None:
    sweep = stored(tmp_path / "sweep", ["seed=0,1,2"], [None, None, None])
    check_nothing_is_queued(sweep.folder, sweep.jobs)
    remembered(sweep.folder)
    with pytest.raises(ConfigError, match=r"3 of its jobs wait or run as 12_0, 12_1, 12_2\n") as error:
        check_nothing_is_queued(sweep.folder, sweep.jobs)
    assert "accepted: hydra/launcher=submitit_slurm, to resume them" in str(error.value)
    check_nothing_is_queued(sweep.folder, [])


def test_only_what_neither_waits_nor_has_ended_meanwhile_is_submitted(
    tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stored(tmp_path / "sweep", ["seed=0,1,2,3,4,5,6,7"], [None] * 8)
    remembered(found.folder)
    executor = Executor()
    monkeypatch.setattr(submission, "make_executor", lambda launcher, cluster: executor)
    sweep = Sweep(found, retries=1)
    jobs = list(sweep)
    late = found.folder / "3"  # it ends after the sweep has looked, and before SLURM is asked
    late.mkdir()
    (late / "result.json").write_text(json.dumps(completed(0.5)))
    work = Submission(SlurmLauncher(found.folder), sweep, jobs)
    assert executor.submitted == [4, 5, 6, 7]
    assert (late / "result.json").is_file(), "nothing of it is removed"
    assert ClusterQueue.load(found.folder).submitted[5] == ("slurm", "99_1")
    assert ClusterQueue.load(found.folder).submitted[1] == ("slurm", "12_1")
    said = capsys.readouterr().out
    assert "queue      3 of them wait or run already" in said
    assert "queue      4 have left it without a result: 12_4, 12_5, 12_6, 12_7" in said
    assert work.pending_note() == "jobs that wait or run stay in the queue; cancel them with: scancel 12 99"


def test_why_a_job_ended(tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = stored(tmp_path / "sweep", ["seed=0,1,2,3,4,5,6,7"], [None] * 8)
    monkeypatch.setattr(submission, "make_executor", lambda launcher, cluster: Executor())
    sweep = Sweep(found, retries=1)
    work = Submission(SlurmLauncher(found.folder), sweep, list(sweep))
    remembered(found.folder)
    work.cluster_queue = ClusterQueue.load(found.folder)
    over = work.ended()
    assert sorted(over) == [3, 4, 5, 6, 7]
    assert over[5] == over[6] == "", "a time limit and a scancel are no fault of the job"
    assert over[4].splitlines()[0] == "it ended without a result (SLURM: OUT_OF_MEMORY)"
    assert over[4].endswith(".submitit/12_4/12_4_0_log.err")


def test_a_damaged_memory_is_none(tmp_path: Path) -> None:
    (tmp_path / "queue.json").write_text('{"0": ["slu')
    assert ClusterQueue.load(tmp_path).submitted == {}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_a_process_that_is_not_submitits_is_not_taken_for_one() -> None:
    assert not is_running(os.getpid())
    assert not is_running(2**22 + 1)


def test_what_sbatch_says_is_handed_on() -> None:
    error = RuntimeError("Command failed:\nsbatch: error: invalid partition specified: moon\nsbatch: error: no\n")
    text = str(submission_error("slurm", error))
    assert "hydra/launcher=submitit_slurm: the jobs were rejected (sbatch: error: invalid partition" in text
