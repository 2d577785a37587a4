"""Sweeps and trainings on SLURM: `make test-slurm` starts a cluster of two nodes on this machine."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.faults import GATE
from tests.sweeps.sweeping import FAULT, REPOSITORY, TINY, Place, scores, until
from trainyard.sweeps.job import Job

pytestmark = pytest.mark.slurm
SLURM = ("hydra/launcher=submitit_slurm", "accelerator=cpu", "hydra.launcher.cpus_per_task=1")
# Jobs wait after their first epoch for the file that `open_gate` creates, then train slowly enough to be interrupted.
GATED = (*FAULT, "+callbacks.fault.gate=1", "+callbacks.fault.pause=2.0", "trainer.max_epochs=8")
EPOCHS = [str(epoch) for epoch in range(1, 9)]
TWO = ("accelerator=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.devices=2")


@pytest.fixture(autouse=True)
def node_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the address of the first node, which a real cluster resolves by its name."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")


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
    until(lambda: "JobState=PENDING" in command("scontrol", "show", "job", job))
    command("scontrol", "update", f"JobId={job}", "StartTime=now")


def open_gate(place: Place) -> None:
    """Let waiting jobs continue."""
    (place.folder / GATE).touch()


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
    words = ("sweep.name=taken", *SLURM, *GATED, "seed=0,1")
    first = place.start(*words, slots=None)
    until(lambda: epochs(log(place, "taken", 0)) and epochs(log(place, "taken", 1)))
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
    open_gate(place)
    second = place.start(*words, slots=None)
    assert second.stdout is not None
    output = next(line for line in second.stdout if line.startswith("queue"))
    assert re.match("queue +[12] of them wait or run already", output)
    start_now(job)
    output, errors = second.communicate(timeout=600)
    assert second.returncode == 0, output + errors
    assert (place.of("taken") / "queue.json").read_text() == content, "nothing was submitted again"
    assert "resuming from" in log(place, "taken", 0)
    assert epochs(log(place, "taken", 0)) == EPOCHS, "no epoch is lost"
    assert epochs(log(place, "taken", 1)) == EPOCHS
    assert place.statuses("taken", 2) == ["completed", "completed"]


def test_a_job_at_its_time_limit_is_interrupted_and_resumes(place: Place) -> None:
    words = ("sweep.name=limit", *SLURM, *GATED, "seed=0")
    first = place.start(*words, "hydra.launcher.timeout_min=5", slots=None)  # its end is near from the start
    until(lambda: epochs(log(place, "limit", 0)))
    [[_, job]] = json.loads((place.of("limit") / "queue.json").read_text()).values()
    command("scancel", "--signal=USR2", job)
    open_gate(place)
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 1
    assert place.statuses("limit", 1) == ["interrupted"]
    assert "1 not done: #0; the same command resumes them" in output
    place.sweep(*words, slots=None)
    assert epochs(log(place, "limit", 0)) == EPOCHS
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


def train(place: Place, nodes: int, *words: str) -> tuple[str, Path]:
    """Submit scripts/train.sbatch for two tasks on one or two nodes; return the job and its directory."""
    own = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
    tasks = (f"--nodes={nodes}", f"--ntasks-per-node={2 // nodes}", "--gpus-per-node=0", "--cpus-per-task=1")
    script = REPOSITORY / "scripts" / "train.sbatch"
    job = subprocess.run(
        ["sbatch", "--parsable", *tasks, str(script), *TINY, *TWO[1:-1], *words],
        cwd=place.folder,
        env={**os.environ, **own},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return job, place.folder / "outputs" / "runs" / f"slurm-{job}"


def train_locally(place: Place, *words: str) -> dict[str, Any]:
    """Train with two processes without SLURM; return the result."""
    alone = [sys.executable, "-m", "trainyard", *TINY, *TWO, *words, "hydra.run.dir=here"]
    subprocess.run(alone, cwd=place.folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=True, timeout=600)
    return scores(place.folder / "here")


def is_completed(folder: Path) -> bool:
    """Return whether a run is completed."""
    return Job(0, [], folder).refresh().status == "completed"


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_tasks_give_the_result_of_two_local_processes(place: Place, nodes: int) -> None:
    job, both = train(place, nodes, "trainer.max_epochs=2")
    until(lambda: is_completed(both))
    assert f"NumNodes={nodes} " in command("scontrol", "show", "job", job)
    assert "2 epochs on cpu x 2" in (both / "run.log").read_text()
    assert scores(both) == train_locally(place, "trainer.max_epochs=2")


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("how", ["preempted", "before its time limit"])
def test_a_training_of_two_tasks_is_requeued_and_resumes(place: Place, nodes: int, how: str) -> None:
    job, folder = train(place, nodes, *GATED)
    file = folder / "run.log"
    until(lambda: file.is_file() and epochs(file.read_text()))
    command(*(["scontrol", "requeue"] if how == "preempted" else ["scancel", "--signal=USR1"]), job)
    open_gate(place)
    start_now(job)
    until(lambda: is_completed(folder))
    assert "resuming from" in file.read_text()
    assert epochs(file.read_text()) == EPOCHS
    assert scores(folder) == train_locally(place, "trainer.max_epochs=8"), "as without the interruption"


def test_a_job_on_two_nodes_is_preempted_and_resumes(place: Place) -> None:
    both = ("accelerator=ddp_cpu", "trainer.devices=1", "trainer.num_nodes=2")
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.nodes=2", "hydra.launcher.cpus_per_task=1")
    sweep = place.start("sweep.name=nodes", *launcher, *both, *GATED, "seed=0", slots=None)
    until(lambda: epochs(log(place, "nodes", 0)) or sweep.poll() is not None)
    assert sweep.poll() is None, sweep.communicate()
    [[_, job]] = json.loads((place.of("nodes") / "queue.json").read_text()).values()
    command("scontrol", "requeue", job)
    open_gate(place)
    start_now(job)
    output, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, output + errors
    assert epochs(log(place, "nodes", 0)) == EPOCHS
    assert scores(place.of("nodes") / "0") == train_locally(place, "trainer.max_epochs=8")
