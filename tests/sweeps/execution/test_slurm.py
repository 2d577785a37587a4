"""Sweeps on SLURM: `make test-slurm` starts one on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sweeps.sweeping import FAULT, REPOSITORY, TINY, Place, scores, until

pytestmark = pytest.mark.slurm
SLURM = ("hydra/launcher=submitit_slurm", "accelerator=cpu", "hydra.launcher.cpus_per_task=1")
TWO = ("accelerator=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.devices=2")


def command(*words: str) -> str:
    """Return the output of a command."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def log(place: Place, name: str, number: int) -> str:
    """Return the log of a job, of all its attempts."""
    file = place.of(name) / str(number) / "run.log"
    return file.read_text() if file.is_file() else ""


def epochs(text: str) -> list[str]:
    """Return the epochs in a log."""
    return re.findall(r": epoch (\d+)/", text)


def start_now(job: str) -> None:
    """Start a requeued job now; SLURM would wait for two minutes."""
    until(lambda: "JobState=PENDING" in command("scontrol", "show", "job", job), 90.0)
    command("scontrol", "update", f"JobId={job}", "StartTime=now")


def test_a_killed_job_does_not_affect_other_jobs(place: Place) -> None:
    words = ("sweep.name=plain", *SLURM, *FAULT, "+callbacks.fault.kind=none,kill")
    output, _ = place.sweep(*words, code=1, slots=None)
    assert place.statuses("plain", 2) == ["completed", "failed"]
    assert re.search(r"queue      2 jobs submitted as \d+\n", output)
    assert re.search(r"1 failed: it ended without a result \(SLURM: \w+\): #1", output)
    (place.folder / "cured").touch()
    output, _ = place.sweep(*words, slots=None)
    assert "2 jobs, 1 to do" in output
    assert place.attempts("plain") == [(0, "completed"), (1, "failed"), (1, "completed")]


@pytest.mark.parametrize("how", ["scontrol requeue", "the signal before the time limit"])
def test_a_preempted_job_resumes_and_is_not_submitted_twice(place: Place, how: str) -> None:
    words = ("sweep.name=taken", *SLURM, *FAULT, "+callbacks.fault.pause=2.0", "trainer.max_epochs=12", "seed=0,1")
    first = place.start(*words, slots=None)
    until(lambda: epochs(log(place, "taken", 0)) and epochs(log(place, "taken", 1)), 90.0)
    os.kill(first.pid, signal.SIGKILL if how == "scontrol requeue" else signal.SIGINT)
    output, _ = first.communicate()
    content = (place.of("taken") / "queue.json").read_text()
    [_, job] = json.loads(content)["0"]
    if how != "scontrol requeue":
        assert f"stay in the queue; cancel them with: scancel {job.partition('_')[0]}\n" in output
    if how == "scontrol requeue":
        command("scontrol", "requeue", job)
    else:
        command("scancel", "--signal=USR2", job)
    second = place.start(*words, slots=None)
    start_now(job)
    output, errors = second.communicate(timeout=180)
    assert second.returncode == 0, output + errors
    assert re.search("queue +[12] of them wait or run already", output)
    assert (place.of("taken") / "queue.json").read_text() == content, "nothing was submitted again"
    assert "resuming from" in log(place, "taken", 0)
    assert epochs(log(place, "taken", 0)) == [str(epoch) for epoch in range(1, 13)], "no epoch is lost"
    assert epochs(log(place, "taken", 1)) == [str(epoch) for epoch in range(1, 13)]
    assert place.statuses("taken", 2) == ["completed", "completed"]


def test_a_job_at_its_time_limit_is_interrupted_and_resumes(place: Place) -> None:
    words = ("sweep.name=limit", *SLURM, *FAULT, "+callbacks.fault.pause=1.0", "trainer.max_epochs=6", "seed=0")
    first = place.start(*words, "hydra.launcher.timeout_min=5", slots=None)  # its end is near from the start
    until(lambda: epochs(log(place, "limit", 0)), 90.0)
    [[_, job]] = json.loads((place.of("limit") / "queue.json").read_text()).values()
    command("scancel", "--signal=USR2", job)
    output, _ = first.communicate(timeout=90)
    assert first.returncode == 1
    assert place.statuses("limit", 1) == ["interrupted"]
    assert "1 not done: #0; the same command resumes them" in output
    place.sweep(*words, slots=None)
    assert epochs(log(place, "limit", 0)) == ["1", "2", "3", "4", "5", "6"]
    assert place.attempts("limit") == [(0, "completed")]


def test_a_rejected_submission_leaves_no_files(place: Place) -> None:
    _, errors = place.sweep("sweep.name=no", *SLURM, "hydra.launcher.partition=moon", "seed=0,1", code=1, slots=None)
    assert "hydra/launcher=submitit_slurm: the jobs were rejected" in errors
    assert "invalid partition specified: moon" in errors
    assert not place.of("no").exists()


def test_a_job_of_two_processes(place: Place) -> None:
    place.sweep("sweep.name=two", *SLURM, *TWO, "hydra.launcher.tasks_per_node=2", "seed=0,1", slots=None)
    assert place.statuses("two", 2) == ["completed", "completed"]
    assert "1 epoch on cpu x 2" in log(place, "two", 0)


def train(place: Place, *words: str) -> tuple[str, Path]:
    """Submit scripts/train.sbatch for two tasks on this machine; return the job and its directory."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    asked = ("--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=0", "--cpus-per-task=1", "--parsable")
    script = REPOSITORY / "scripts" / "train.sbatch"
    submit = ["sbatch", *asked, str(script), *TINY, *TWO[1:-1], *words]
    job = subprocess.run(submit, cwd=place.folder, env=environment, check=True, capture_output=True, text=True).stdout
    return job.strip(), place.folder / "outputs" / "runs" / f"slurm-{job.strip()}"


def test_two_tasks_give_the_result_of_two_local_processes(place: Place) -> None:
    _, both = train(place, "trainer.max_epochs=2")
    alone = [sys.executable, "-m", "trainyard", *TINY, *TWO, "trainer.max_epochs=2", "hydra.run.dir=here"]
    subprocess.run(alone, cwd=place.folder, check=True, timeout=120)
    until(lambda: (both / "result.json").is_file(), 90.0)
    assert "2 epochs on cpu x 2" in (both / "run.log").read_text()
    assert scores(both) == scores(place.folder / "here")


def test_a_run_of_two_tasks_is_requeued_before_its_time_limit(place: Place) -> None:
    words = (*FAULT, "+callbacks.fault.pause=1.0", "trainer.max_epochs=8")
    job, folder = train(place, *words)
    file = folder / "run.log"
    until(lambda: file.is_file() and epochs(file.read_text()), 90.0)
    command("scancel", "--signal=USR1", job)
    start_now(job)
    result = folder / "result.json"
    until(lambda: result.is_file() and json.loads(result.read_text())["status"] == "completed", 120.0)
    assert "resuming from" in file.read_text()
    assert epochs(file.read_text()) == [str(epoch) for epoch in range(1, 9)]
