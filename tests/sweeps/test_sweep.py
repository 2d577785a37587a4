"""Whole sweeps, as a person types them."""

import os
import shlex
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.sweeps.faults import GATE
from tests.sweeps.sweeping import EAGER, FAULT, Place, table, until


def stamps(place: Place, name: str) -> dict[str, int]:
    """When each file of the jobs was written."""
    files = [file for file in place.of(name).glob("*/**/*") if file.is_file()]
    assert files
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_a_grid_is_run_once_and_a_second_time_only_shown(place: Place) -> None:
    grid = ("sweep.name=grid", "optimizer=sgd,adam", "seed=3,4")
    said, errors = place.sweep(*grid)
    assert errors == ""
    assert "4 jobs, 4 to do" in said
    assert [line[:6] for line in said.splitlines() if line.startswith("[")] == ["[1/4] ", "[2/4] ", "[3/4] ", "[4/4] "]
    assert "epoch 1/1" not in said, "the progress of jobs is in their logs"
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
    before, journal = stamps(place, "grid"), sorted(place.attempts("grid"))
    assert journal == [(number, "completed") for number in range(4)]
    again, _ = place.sweep(*grid)
    assert "4 jobs, 0 to do" in again
    assert said.partition("rank ")[2] == again.partition("rank ")[2] != ""
    _, errors = place.sweep("sweep.name=grid", "optimizer=sgd,adam", "seed=3,4,5", "augment=none", code=1)
    assert "sweep.name=grid: it is another sweep" in errors
    assert "seed: before 3,4, now 3,4,5" in errors
    assert "augment: before nothing, now none" in errors
    assert "Traceback" not in errors
    assert stamps(place, "grid") == before
    assert sorted(place.attempts("grid")) == journal


def test_failures_stay_alone_and_are_told_by_their_cause(place: Place) -> None:
    finite = "+callbacks.finite._target_=trainyard.callbacks.finite_loss.FiniteLoss"
    kinds = "+callbacks.fault.kind=raise,exit,none,hard_exit,kill,memory"
    words = ("sweep.name=faults", kinds, *FAULT, finite, "optimizer=sgd", "optimizer.lr=0.01,1e30")
    said, errors = place.sweep(*words, code=1)
    assert errors == ""
    assert place.statuses("faults", 12) == [*["failed"] * 4, "completed", *["failed"] * 7]
    assert sorted(place.attempts("faults"))[4] == (4, "completed")
    causes = [line for line in said.splitlines() if " failed: " in line and not line.startswith("[")]
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
def test_what_failed_runs_again_as_often_as_was_said(place: Place) -> None:
    words = ("sweep.name=again", *FAULT, "+callbacks.fault.kind=raise,none")
    place.sweep(*words, code=1)
    done = (place.of("again") / "1" / "result.json").stat().st_mtime_ns
    said, _ = place.sweep(*words, "sweep.retries=0", code=1)
    assert "2 jobs, 0 to do" in said
    assert "1 failed: RuntimeError" in said
    said, _ = place.sweep(*words, code=1)
    assert "2 jobs, 1 to do" in said
    assert "2 jobs, 0 to do" in place.sweep(*words, code=1)[0]
    (place.folder / "cured").touch()
    place.sweep(*words, "sweep.retries=2")
    assert sorted(place.attempts("again")) == [(0, "completed"), (0, "failed"), (0, "failed"), (1, "completed")]
    assert (place.of("again") / "1" / "result.json").stat().st_mtime_ns == done


def test_the_first_failure_ends_the_sweep_where_that_is_wanted(place: Place) -> None:
    words = ("sweep.name=fast", "sweep.fail_fast=true", *FAULT, "+callbacks.fault.kind=raise,none", "seed=0,1")
    place.sweep(*words, code=1, slots=1)
    assert place.statuses("fast", 4) == ["failed", *["waiting"] * 3]


def test_jobs_that_cannot_work_are_named_before_the_first_begins(place: Place) -> None:
    words = ("sweep.name=no", "seed=0,1", "model.dropout=0.1,1.5")
    _, errors = place.sweep(*words, code=1)
    assert "2 of 4 jobs cannot work; none was started" in errors
    assert "#1 seed=0 model.dropout=1.5; #3 seed=1 model.dropout=1.5" in errors
    assert "from 0 below 1" in errors
    assert "Traceback" not in errors
    assert not [path for path in place.of("no").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_an_option_that_is_not_there_leaves_nothing(place: Place) -> None:
    _, errors = place.sweep("sweep.name=no", "optimizer=sgd,adm", code=1)
    assert "did you mean adam" in errors
    assert not place.of("no").exists()


def test_weights_of_the_best_alone_are_kept_and_a_sweep_finds_its_name(place: Place) -> None:
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
def test_an_interrupted_sweep_saves_and_goes_on_and_a_second_process_waits(place: Place, number: int) -> None:
    slow = ("sweep.name=stopped", *FAULT, *EAGER, "+callbacks.fault.gate=3", "trainer.max_epochs=10", "seed=0,1,2")
    process = place.start(*slow)
    job = place.of("stopped") / "0"
    until(lambda: job.is_dir())
    _, errors = place.sweep(*slow, code=1)
    assert f"sweep.name=stopped: process {process.pid} is running it" in errors
    assert len(errors.splitlines()) < 5
    until(lambda: job.joinpath("run.log").is_file() and "epoch 3/10" in job.joinpath("run.log").read_text())
    until(lambda: "epoch 3/10" in job.with_name("1").joinpath("run.log").read_text())
    os.killpg(process.pid, number)  # as a terminal does; a scheduler signals the sweep alone
    logs = [place.of("stopped") / str(number) / "run.log" for number in (0, 1)]
    until(lambda: all(": saving" in log.read_text() for log in logs))  # each job has the signal
    (place.folder / GATE).touch()
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + number, said + errors
    [row] = table(place.of("stopped") / "leaderboard.csv")
    assert row["status"] == "2 interrupted, 1 waiting"
    assert "interrupted; the same command resumes the sweep" in said
    printed = shlex.split(said.splitlines()[-1].partition(": ")[2])
    assert printed == ["python", *process.args[1:]]
    assert "Traceback" not in errors
    assert place.statuses("stopped", 3) == ["interrupted", "interrupted", "waiting"]
    assert sorted(place.attempts("stopped")) == [(0, "running"), (1, "running")]
    said, _ = place.sweep(*slow)
    assert "3 jobs, 3 to do" in said
    assert place.statuses("stopped", 3) == ["completed"] * 3
    log = job.joinpath("run.log").read_text()
    assert "resuming from" in log
    assert log.count("epoch 1/10") == 1, "it went on, and did not begin anew"
    assert [int(row["epoch"]) for row in table(job / "metrics.csv")] == list(range(11))  # the last is the test's


def test_jobs_that_do_not_compose_are_named_together_and_other_files_stay(place: Place) -> None:
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


def test_a_job_that_leaves_without_an_error_is_not_done(place: Place) -> None:
    said, _ = place.sweep("sweep.name=left", *FAULT, "+callbacks.fault.kind=none,leave", code=1)
    assert "1 not done: #1; the same command resumes them" in said


def test_a_reader_that_goes_away_does_not_end_the_jobs(place: Place) -> None:
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
