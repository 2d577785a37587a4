"""Jobs in the queue of a cluster, with a script in place of `squeue`."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sweeps.synthetic import completed, stored
from trainyard.io.errors import ConfigError
from trainyard.sweeps.execution import submission
from trainyard.sweeps.execution.submission import (
    ClusterQueue,
    QueuedJob,
    Submission,
    check_nothing_is_queued,
    is_running,
)
from trainyard.sweeps.sweep import Sweep

STATES = {0: "PENDING", 1: "RUNNING", 2: "COMPLETING", 3: "COMPLETED", 4: "OUT_OF_MEMORY", 5: "TIMEOUT", 6: "CANCELLED"}


class Executor:
    """Records the jobs that are submitted, or fails as submitit does."""

    def __init__(self, error: Exception | None = None) -> None:
        self.submitted: list[int] = []
        self.error = error

    def map_array(self, launcher: object, *columns: Any) -> list[Any]:
        if self.error:
            raise self.error
        self.submitted += columns[2]
        return [SimpleNamespace(job_id=f"99_{place}") for place, _ in enumerate(columns[2])]


class SlurmLauncher:
    """The part of hydra-submitit-launcher's class that is used."""

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


def queue_with_jobs(folder: Path) -> ClusterQueue:
    """The queue of a sweep whose jobs were submitted; SLURM has removed the last one."""
    folder.mkdir(exist_ok=True)
    ClusterQueue(folder).add({number: QueuedJob("slurm", f"12_{number}") for number in [*STATES, 7]})
    return ClusterQueue.load(folder)


def test_jobs_are_pending_until_squeue_shows_an_end(tmp_path: Path, squeue: Path) -> None:
    queue = queue_with_jobs(tmp_path / "sweep")
    assert queue.pending(set(range(9))) == {0, 1, 2}, "job 8 was never submitted"
    assert queue.ended({0, 2, 4, 7}) == {4: "OUT_OF_MEMORY", 7: ""}


def test_nothing_is_submitted_while_slurm_does_not_respond(tmp_path: Path, squeue: Path) -> None:
    squeue.write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    queue = queue_with_jobs(tmp_path / "sweep")
    with pytest.raises(ConfigError, match=r"squeue does not respond .Unable to contact slurm controller") as error:
        queue.pending({0})
    assert f"remove {tmp_path}" in str(error.value)
    assert queue.pending({8}) == set(), "SLURM does not know jobs that were never submitted"


def test_another_launcher_is_rejected_while_jobs_are_queued(tmp_path: Path, squeue: Path) -> None:
    sweep = stored(tmp_path / "sweep", ["seed=0,1,2"], [None, None, None])
    check_nothing_is_queued(sweep.folder, sweep.jobs)
    queue_with_jobs(sweep.folder)
    with pytest.raises(ConfigError, match=r"3 of its jobs wait or run as 12_0, 12_1, 12_2\n") as error:
        check_nothing_is_queued(sweep.folder, sweep.jobs)
    assert "accepted: hydra/launcher=submitit_slurm, to resume them" in str(error.value)
    check_nothing_is_queued(sweep.folder, [])


def test_only_jobs_that_neither_wait_nor_have_ended_are_submitted(
    tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stored(tmp_path / "sweep", ["seed=0,1,2,3,4,5,6,7"], [None] * 8)
    queue_with_jobs(found.folder)
    executor = Executor()
    monkeypatch.setattr(submission, "make_executor", lambda launcher, cluster: executor)
    sweep = Sweep(found, retries=1)
    jobs = list(sweep.jobs_to_run())
    finished = found.folder / "3"  # it ends between reading the sweep and running squeue
    finished.mkdir()
    (finished / "result.json").write_text(json.dumps(completed(0.5)))
    submitted = Submission(SlurmLauncher(found.folder), sweep, jobs)
    assert executor.submitted == [4, 5, 6, 7]
    assert (finished / "result.json").is_file(), "its files are not removed"
    assert ClusterQueue.load(found.folder).submitted[5] == ("slurm", "99_1")
    assert ClusterQueue.load(found.folder).submitted[1] == ("slurm", "12_1")
    output = capsys.readouterr().out
    assert "queue      3 of them wait or run already" in output
    assert "queue      4 have left it without a result: 12_4, 12_5, 12_6, 12_7" in output
    assert submitted.pending_note() == "jobs that wait or run stay in the queue; cancel them with: scancel 12 99"


def test_the_error_of_a_job_names_the_state_and_the_log(
    tmp_path: Path, squeue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = stored(tmp_path / "sweep", ["seed=0,1,2,3,4,5,6,7"], [None] * 8)
    monkeypatch.setattr(submission, "make_executor", lambda launcher, cluster: Executor())
    sweep = Sweep(found, retries=1)
    submitted = Submission(SlurmLauncher(found.folder), sweep, list(sweep.jobs_to_run()))
    queue_with_jobs(found.folder)
    submitted.queue = ClusterQueue.load(found.folder)
    ended = submitted.ended()
    assert sorted(ended) == [3, 4, 5, 6, 7]
    assert ended[5] == ended[6] == "", "a time limit and scancel are not errors of the job"
    assert ended[4].splitlines()[0] == "it ended without a result (SLURM: OUT_OF_MEMORY)"
    assert ended[4].endswith(".submitit/12_4/12_4_0_log.err")


@pytest.mark.parametrize("content", ['{"0": ["slu', "[]", "3", '{"0": 3}', '{"x": ["slurm", "1"]}'])
def test_a_damaged_queue_file_is_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "queue.json").write_text(content)
    assert ClusterQueue.load(tmp_path).submitted == {}


def test_only_processes_of_submitit_count_as_running() -> None:
    assert not is_running(os.getpid())
    assert not is_running(2**22 + 1)


def test_the_message_of_sbatch_is_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("Command failed:\nsbatch: error: invalid partition specified: moon\nsbatch: error: no\n")
    monkeypatch.setattr(submission, "make_executor", lambda launcher, cluster: Executor(error))
    sweep = Sweep(stored(tmp_path / "sweep", ["seed=0,1"], [None, None]), retries=1)
    with pytest.raises(ConfigError) as raised:
        Submission(SlurmLauncher(sweep.folder), sweep, list(sweep.jobs_to_run()))
    assert "hydra/launcher=submitit_slurm: the jobs were rejected (sbatch: error: invalid part" in str(raised.value)
