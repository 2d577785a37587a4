"""Sweeps: the jobs to run, the files that are kept, and whole sweeps from the command line."""

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.sweeps.faults import GATE
from tests.sweeps.sweeping import EAGER, FAULT, Place, table, until
from tests.sweeps.synthetic import completed, job
from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep
from trainyard.sweeps.sweep import Sweep


def new_sweep(folder: Path, jobs: int = 4, **options: Any) -> Sweep:
    space = SearchSpace({"seed": [str(number) for number in range(jobs)]})
    return Sweep(StoredSweep.create(folder, space, Objective("val/acc", "max")), options.pop("retries", 1), **options)


def numbers(jobs: list[Job]) -> list[int]:
    return [job.number for job in jobs]


def test_unfinished_and_retryable_jobs_run_again(tmp_path: Path) -> None:
    first = new_sweep(tmp_path)
    assert numbers(first.unfinished()) == [0, 1, 2, 3]
    for number, result in enumerate([completed(0.5), {"status": "failed"}, {"status": "interrupted"}]):
        first.start(first.jobs[number])
        job(tmp_path, number, **result)
        first.finish(first.jobs[number], "")
    assert numbers(new_sweep(tmp_path, retries=0).unfinished()) == [2, 3]
    again = new_sweep(tmp_path, retries=1)
    assert numbers(again.unfinished()) == [1, 2, 3]
    again.start(again.jobs[1])
    again.finish(again.jobs[1], "RuntimeError: again")
    assert json.loads((tmp_path / "1" / "result.json").read_text())["error"] == "RuntimeError: again"
    assert numbers(new_sweep(tmp_path, retries=1).unfinished()) == [2, 3]
    assert numbers(new_sweep(tmp_path, retries=2).unfinished()) == [1, 2, 3]


@pytest.mark.parametrize("result", [{}, {"status": "interrupted", "error": None}, completed(0.5)])
def test_a_process_error_makes_the_job_failed(tmp_path: Path, result: dict[str, Any]) -> None:
    """A run treats `sys.exit` as an interruption; a killed one writes no result."""
    one = new_sweep(tmp_path, jobs=1)
    one.start(one.jobs[0])
    job(tmp_path, 0, **result)
    one.finish(one.jobs[0], "its process ended with code 3")
    assert one.jobs[0].status == "failed"
    assert one.jobs[0].result["error"] == "its process ended with code 3"
    assert one.journal.failures() == {0: 1}


def test_only_directories_that_can_resume_are_kept(tmp_path: Path) -> None:
    new_sweep(tmp_path)
    for number, result in enumerate([{"status": "failed"}, {"status": "interrupted"}, {}, {"status": "interrupted"}]):
        folder = job(tmp_path, number, **result).folder / "checkpoints"
        folder.mkdir()
        if number < 3:
            (folder / "last.ckpt").touch()
    found = new_sweep(tmp_path)
    for each in found.jobs:
        found.start(each)
    assert [(tmp_path / str(number)).exists() for number in range(4)] == [False, True, True, False]


def test_the_first_of_equal_jobs_keeps_its_checkpoints(tmp_path: Path) -> None:
    found = new_sweep(tmp_path, keep=2)
    for number, score in enumerate([0.5, 0.75, 0.75, 0.75]):
        found.start(found.jobs[number])
        (job(tmp_path, number, **completed(score)).folder / "checkpoints").mkdir()
        found.finish(found.jobs[number], "")
    assert [(tmp_path / str(number) / "checkpoints").exists() for number in range(4)] == [False, True, True, False]


def test_the_best_configuration_keeps_its_checkpoints(tmp_path: Path) -> None:
    space = SearchSpace({"lr": ["1", "2"], "data.fold": ["0", "1"]})
    found = Sweep(StoredSweep.create(tmp_path, space, Objective("val/acc", "max")), retries=1, keep=1)
    kept = []
    for number, score in enumerate([0.99, 0.1, 0.6, 0.7]):
        found.start(found.jobs[number])
        (job(tmp_path, number, **completed(score)).folder / "checkpoints").mkdir()
        found.finish(found.jobs[number], "")
        kept.append(sorted(int(path.parent.name) for path in tmp_path.glob("*/checkpoints")))
    assert kept == [[0], [0], [0, 2], [3]], "configurations are compared when all of their folds have ended"


def modification_times(place: Place, name: str) -> dict[str, int]:
    """Return the time of the last change of each file of the jobs."""
    files = [file for file in place.of(name).glob("*/**/*") if file.is_file()]
    assert files
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_a_finished_grid_is_not_run_again(place: Place) -> None:
    grid = ("sweep.name=grid", "optimizer=sgd,adam", "seed=3,4")
    output, errors = place.sweep(*grid)
    assert errors == ""
    assert "4 jobs, 4 to do" in output
    assert [line[:6] for line in output.splitlines() if line.startswith("[")] == [
        "[1/4] ",
        "[2/4] ",
        "[3/4] ",
        "[4/4] ",
    ]
    assert "epoch 1/1" not in output, "the epochs of jobs are in their logs"
    assert "epoch 1/1" in (place.of("grid") / "0" / "run.log").read_text()
    assert place.statuses("grid", 5) == ["completed"] * 4 + ["waiting"]
    configs = [OmegaConf.load(place.of("grid") / str(number) / "config.yaml") for number in range(4)]
    assert [config.optimizer._target_.rpartition(".")[2] for config in configs] == ["SGD", "SGD", "Adam", "Adam"]
    assert [config.seed for config in configs] == [3, 4, 3, 4]
    assert [Path(config.run.dir) for config in configs] == [place.of("grid") / str(number) for number in range(4)]
    board = table(place.of("grid") / "leaderboard.csv")
    mean = sum(place.result("grid", number)["objective"]["value"] for number in (0, 1)) / 2
    [sgd] = [row["val/acc"] for row in board if row["optimizer"] == "sgd"]
    assert sgd.startswith(f"{mean:.4f} ± ")
    before, journal = modification_times(place, "grid"), sorted(place.attempts("grid"))
    assert journal == [(number, "completed") for number in range(4)]
    again, _ = place.sweep(*grid)
    assert "4 jobs, 0 to do" in again
    assert output.partition("rank ")[2] == again.partition("rank ")[2] != ""
    _, errors = place.sweep("sweep.name=grid", "optimizer=sgd,adam", "seed=3,4,5", "augment=none", code=1)
    assert "sweep.name=grid: it is another sweep" in errors
    assert "seed: before 3,4, now 3,4,5" in errors
    assert "augment: before nothing, now none" in errors
    assert "Traceback" not in errors
    assert modification_times(place, "grid") == before
    assert sorted(place.attempts("grid")) == journal


def test_failures_do_not_affect_other_jobs_and_are_grouped_by_cause(place: Place) -> None:
    finite = "+callbacks.finite._target_=trainyard.callbacks.finite_loss.FiniteLoss"
    kinds = "+callbacks.fault.kind=raise,exit,none,hard_exit,kill,memory"
    words = ("sweep.name=faults", kinds, *FAULT, finite, "optimizer=sgd", "optimizer.lr=0.01,1e30")
    output, errors = place.sweep(*words, code=1)
    assert errors == ""
    assert place.statuses("faults", 12) == [*["failed"] * 4, "completed", *["failed"] * 7]
    assert sorted(place.attempts("faults"))[4] == (4, "completed")
    causes = [line for line in output.splitlines() if " failed: " in line and not line.startswith("[")]
    assert len(causes) == 6
    for start, end in (
        ("1 failed: RuntimeError: the cable is loose", ": #0"),
        ("1 failed: its process ended with code 3", ": #2"),
        ("1 failed: its process ended with code 7", ": #6"),
        ("1 failed: killed by SIGKILL, as the system does when memory runs out", ": #8"),
        ("1 failed: data.batch_size=64: not enough memory", ": #10"),
        ("6 failed: FloatingPointError: ", " (all 6 have optimizer.lr=1e+30): #1, #3, #5, #7, #9, #11"),
    ):
        [line] = [line for line in causes if line.startswith(start)]
        assert line.endswith(end)
    for number, trace in ((0, "the cable is loose"), (1, "FloatingPointError"), (10, "can't allocate memory")):
        log = (place.of("faults") / str(number) / "run.log").read_text()
        assert "Traceback (most recent call last)" in log
        assert trace in log
    assert [row["status"] for row in table(place.of("faults") / "leaderboard.csv")] == ["completed", *["failed"] * 11]


@pytest.mark.slow
def test_failed_jobs_are_retried(place: Place) -> None:
    words = ("sweep.name=again", *FAULT, "+callbacks.fault.kind=raise,none")
    place.sweep(*words, code=1)
    done = (place.of("again") / "1" / "result.json").stat().st_mtime_ns
    output, _ = place.sweep(*words, "sweep.retries=0", code=1)
    assert "2 jobs, 0 to do" in output
    assert "1 failed: RuntimeError" in output
    output, _ = place.sweep(*words, code=1)
    assert "2 jobs, 1 to do" in output
    assert "2 jobs, 0 to do" in place.sweep(*words, code=1)[0]
    (place.folder / "cured").touch()
    place.sweep(*words, "sweep.retries=2")
    assert sorted(place.attempts("again")) == [(0, "completed"), (0, "failed"), (0, "failed"), (1, "completed")]
    assert (place.of("again") / "1" / "result.json").stat().st_mtime_ns == done


def test_fail_fast_ends_the_sweep(place: Place) -> None:
    words = ("sweep.name=fast", "sweep.fail_fast=true", *FAULT, "+callbacks.fault.kind=raise,none", "seed=0,1")
    place.sweep(*words, code=1, slots=1)
    assert place.statuses("fast", 4) == ["failed", *["waiting"] * 3]


def test_impossible_jobs_are_named_before_the_first_starts(place: Place) -> None:
    words = ("sweep.name=no", "seed=0,1", "model.dropout=0.1,1.5")
    _, errors = place.sweep(*words, code=1)
    assert "2 of 4 jobs cannot work; none was started" in errors
    assert "#1 seed=0 model.dropout=1.5; #3 seed=1 model.dropout=1.5" in errors
    assert "from 0 below 1" in errors
    assert "Traceback" not in errors
    assert not [path for path in place.of("no").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_an_unknown_option_leaves_no_files(place: Place) -> None:
    _, errors = place.sweep("sweep.name=no", "optimizer=sgd,adm", code=1)
    assert "did you mean adam" in errors
    assert not place.of("no").exists()


def test_only_checkpoints_of_the_best_job_are_kept(place: Place) -> None:
    words = ("sweep.keep=1", "optimizer=sgd", "optimizer.lr=1e-6,0.1,1e-5")
    place.sweep(*words)
    [folder] = (place.folder / "outputs" / "sweeps").iterdir()
    assert folder.name.startswith("lr-")
    assert [number for number in range(3) if (folder / str(number) / "checkpoints").exists()] == [1]
    rows = table(folder / "leaderboard.csv")
    assert [row["checkpoint"] for row in rows] == ["1/checkpoints/best.ckpt", "not kept", "not kept"]
    assert "3 jobs, 0 to do" in place.sweep(*words)[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_sweep_saves_and_resumes(place: Place, number: int) -> None:
    slow = ("sweep.name=stopped", *FAULT, *EAGER, "+callbacks.fault.gate=3", "trainer.max_epochs=10", "seed=0,1,2")
    process = place.start(*slow)
    job = place.of("stopped") / "0"
    until(lambda: job.is_dir())
    _, errors = place.sweep(*slow, code=1)
    assert f"sweep.name=stopped: process {process.pid} is running it" in errors
    assert len(errors.splitlines()) < 5
    until(lambda: job.joinpath("run.log").is_file() and "epoch 3/10" in job.joinpath("run.log").read_text())
    until(lambda: "epoch 3/10" in job.with_name("1").joinpath("run.log").read_text())
    os.killpg(process.pid, number)  # as a terminal does; a scheduler signals only the sweep
    logs = [place.of("stopped") / str(number) / "run.log" for number in (0, 1)]
    until(lambda: all(": saving" in log.read_text() for log in logs))  # each job has the signal
    (place.folder / GATE).touch()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number, output + errors
    [row] = table(place.of("stopped") / "leaderboard.csv")
    assert row["status"] == "2 interrupted, 1 waiting"
    assert "interrupted; the same command resumes the sweep" in output
    printed = shlex.split(output.splitlines()[-1].partition(": ")[2])
    assert printed == ["python", *process.args[1:]]
    assert "Traceback" not in errors
    assert place.statuses("stopped", 3) == ["interrupted", "interrupted", "waiting"]
    assert sorted(place.attempts("stopped")) == [(0, "running"), (1, "running")]
    output, _ = place.sweep(*slow)
    assert "3 jobs, 3 to do" in output
    assert place.statuses("stopped", 3) == ["completed"] * 3
    log = job.joinpath("run.log").read_text()
    assert "resuming from" in log
    assert log.count("epoch 1/10") == 1, "it resumes, and does not start again"
    epochs = [int(row["epoch"]) for row in table(job / "metrics.csv")]
    assert epochs == list(range(11)), "the last row has the test scores"


def test_jobs_that_do_not_compose_are_named_together(place: Place) -> None:
    notes = place.folder / "mine" / "notes.txt"
    notes.parent.mkdir()
    notes.touch()
    _, errors = place.sweep("hydra.sweep.dir=mine", "optimizer=sgdd,adam,adamm", code=1)
    assert "sweep.name=mine: mine contains other files (notes.txt)" in errors
    notes.unlink()
    _, errors = place.sweep("hydra.sweep.dir=mine", "optimizer=sgdd,adam,adamm", code=1)
    assert "2 of 3 jobs cannot work; none was started" in errors
    assert "did you mean sgd" in errors
    assert "did you mean adam" in errors
    assert not notes.parent.exists()


def test_a_job_that_exits_without_a_result_is_not_done(place: Place) -> None:
    output, _ = place.sweep("sweep.name=left", *FAULT, "+callbacks.fault.kind=none,leave", code=1)
    assert "1 not done: #1; the same command resumes them" in output


def test_a_closed_pipe_does_not_end_the_jobs(place: Place) -> None:
    process = place.start("sweep.name=pipe", "seed=0,1")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("sweep ")
    process.stdout.close()
    with process.stderr:
        [line] = process.stderr.read().splitlines()
    assert line.startswith("stdout cannot be written")
    assert process.wait(timeout=300) == 0
    assert place.statuses("pipe", 2) == ["completed", "completed"]
