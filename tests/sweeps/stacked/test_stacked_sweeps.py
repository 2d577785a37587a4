"""Stacked sweeps, started from the command line."""

import os
import signal
from pathlib import Path

import pytest
import torch

from tests.sweeps.stacked.labels import write_labels
from tests.sweeps.sweeping import Place, scores, until
from trainyard.inference.evaluate import evaluate_ensemble

STACKED = ("hydra/launcher=stacked", "accelerator=cpu")


def test_a_stacked_sweep_has_the_results_of_a_local_sweep(place: Place) -> None:
    words = ("sweep.name=s", "trainer.gradient_clip_val=null,10.0", "seed=0,1", "optimizer.lr=0.001,0.01")
    output, _ = place.sweep(*STACKED, *words)
    assert place.statuses("s", 8) == ["completed"] * 8
    assert sorted(place.attempts("s")) == [(number, "completed") for number in range(8)]
    assert "not stacked  #4, #5, #6, #7: trainer.gradient_clip_val=10.0" in output
    assert output.count("/8] #") == 8
    again, _ = place.sweep(*STACKED, *words)
    assert "0 to do" in again
    place.sweep("sweep.name=local", *words[1:], "accelerator=cpu")
    for number in range(8):
        one, other = (scores(place.of(name) / str(number)) for name in ("s", "local"))
        assert other["metrics"] == pytest.approx(one["metrics"], abs=1e-4)
        for name in ("s", "local"):
            names = {path.name for path in (place.of(name) / str(number)).iterdir()}
            assert names >= {"config.yaml", "overrides.yaml"}
            assert ".hydra" not in names, "Hydra would write both a second time"


@pytest.mark.slow
def test_an_ensemble_of_stacked_jobs_is_that_of_single_runs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("data=table", f"data.path={write_labels(place.folder)}", "data.target=tags", "task=multilabel")
    words += ("callbacks=default", "callbacks.budget.share=0", "seed=0,1", "optimizer.lr=0.01,0.03", "accelerator=cpu")
    for name, launcher in (("s", "stacked"), ("local", "local")):
        output, _ = place.sweep(f"hydra/launcher={launcher}", f"sweep.name={name}", *words)
        assert "not stacked" not in output
    assert "stacked    with" in (place.of("s") / "0" / "run.log").read_text()
    monkeypatch.chdir(place.folder)
    stacked, local = (evaluate_ensemble(f"best:{name}", 3)[0] for name in ("s", "local"))
    assert stacked.scores == pytest.approx(local.scores, abs=1e-4)
    assert stacked.notes[-2].replace("s/", "local/") == local.notes[-2], "the same jobs with the same weights"
    assert "(of 4 jobs)" in stacked.notes[-2]
    for name in ("probabilities", "thresholds"):
        one, other = (torch.as_tensor(getattr(report.predictions, name)) for report in (local, stacked))
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_job_that_diverges_fails_alone(place: Place) -> None:
    words = ("sweep.name=high", "optimizer=sgd", "optimizer.lr=1e30,0.01", "seed=0,1", "callbacks=default")
    output, _ = place.sweep(*STACKED, *words, code=1)
    assert place.statuses("high", 4) == ["failed", "failed", "completed", "completed"]
    assert sorted(place.attempts("high")) == [(0, "failed"), (1, "failed"), (2, "completed"), (3, "completed")]
    assert "the loss became" in place.result("high", 0)["error"]
    assert "not stacked" not in output
    place.sweep("sweep.name=local", *words[1:], "accelerator=cpu", code=1)
    assert place.result("high", 0)["error"] == place.result("local", 0)["error"]
    log = (place.of("high") / "2" / "run.log").read_text()
    assert "the loss became" not in log
    assert "FloatingPointError" in (place.of("high") / "0" / "run.log").read_text()


@pytest.mark.slow
def test_an_interrupted_stack_is_resumed_by_the_local_launcher(place: Place) -> None:
    words = ("sweep.name=stop", "trainer.max_epochs=80", "optimizer.lr=0.0003,0.001", "accelerator=cpu")
    process = place.start("hydra/launcher=stacked", *words)
    console = place.of("stop") / "0" / "console.log"
    until(lambda: console.is_file() and "epoch 3/" in console.read_text())
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert place.statuses("stop", 2) == ["interrupted", "interrupted"]
    assert all((place.of("stop") / str(number) / "checkpoints" / "last.ckpt").is_file() for number in (0, 1))
    place.sweep("hydra/launcher=local", *words)
    place.sweep("sweep.name=whole", *words[1:])
    for number in (0, 1):
        stopped, whole = (place.of(name) / str(number) for name in ("stop", "whole"))
        assert "resuming from" in (stopped / "run.log").read_text()
        assert scores(stopped)["metrics"] == pytest.approx(scores(whole)["metrics"], abs=1e-3)
        assert scores(stopped)["epochs"] == 80
        assert rows(stopped) == rows(whole) == 81


def rows(folder: Path) -> int:
    """Return the number of rows of a run's table: one for each epoch and one for the test."""
    return len((folder / "metrics.csv").read_text().splitlines()) - 1


@pytest.mark.slow
def test_all_jobs_of_a_killed_stack_fail(place: Place) -> None:
    words = ("sweep.name=kill", "trainer.max_epochs=100000", "seed=0,1", *STACKED)
    process = place.start(*words, slots=1)
    console = place.of("kill") / "0" / "console.log"
    until(lambda: console.is_file() and "epoch 1/" in console.read_text())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    jobs = [pid for child in children for pid in Path(f"/proc/{child}/task/{child}/children").read_text().split()]
    for pid in jobs:
        os.kill(int(pid), signal.SIGKILL)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert place.statuses("kill", 2) == ["failed", "failed"]
    assert "killed by SIGKILL" in output
