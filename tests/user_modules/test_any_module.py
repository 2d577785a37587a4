"""Lightning modules that know nothing of Trainyard train, resume exactly, sweep and are evaluated."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.run.interrupted_runs import checkpoint, curves, tensors
from tests.user_modules.user_runs import (
    CONF,
    EPOCHS,
    EXPERIMENTS,
    NO_PAUSE,
    Runs,
    batches,
    command,
    objective_of,
    result,
    slow_except,
    sorted_best_first,
)
from trainyard.run.metrics_csv import read_curves

FILES = ("config.yaml", "overrides.yaml", "provenance.json", "run.log", "metrics.csv", "result.json")
COLUMNS = {"val_loss": "val_loss_epoch"}  # loggers get this name, since it is also logged per step
TRUSTED = ("--trusted-packages", "tests", "--trusted-packages", "lightning")
WITH_TEST_STEP = ("boring", "distillation", "gesture_partials", "gestures", "segmentation", "text")


def reproducible_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the curves in TensorBoard that do not depend on the machine."""
    return {tag: points for tag, points in curves(folder).items() if not tag.startswith(("speed/", "memory/"))}


def assert_equal_runs(one: Path, other: Path) -> None:
    """Assert that two runs logged the same numbers and ended with the same weights, optimizers and scores."""
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    assert reproducible_curves(one) == reproducible_curves(other)
    for name in ("last.ckpt", "best.ckpt"):
        mine, theirs = checkpoint(one, name), checkpoint(other, name)
        for key in ("epoch", "global_step", "metrics", "lr_schedulers"):
            assert mine[key] == theirs[key], key
        weights, again = tensors(mine), tensors(theirs)
        assert weights.keys() == again.keys()
        assert [place for place, tensor in weights.items() if not torch.equal(tensor, again[place])] == []
    assert result(one)["metrics"] == result(other)["metrics"]


@pytest.mark.parametrize("experiment", slow_except("adversarial", "contrastive", "demo", "distillation", "two_loaders"))
def test_a_run_is_complete_and_follows_its_objective(runs: Runs, experiment: str) -> None:
    folder = runs.run(experiment)
    assert [name for name in FILES if not (folder / name).is_file()] == []
    stored, (objective, mode) = result(folder), objective_of(experiment)
    values = read_curves(folder, by="epoch")[COLUMNS.get(objective, objective)]
    assert len(values) == EPOCHS
    best = sorted_best_first(list(values.values()), mode)[0]
    assert stored["objective"]["name"] == objective
    assert stored["objective"]["value"] == pytest.approx(best, rel=1e-6)
    assert stored["metrics"][objective] == stored["objective"]["value"]
    assert any(name.startswith("test/") or name == "y" for name in stored["metrics"]) is (experiment in WITH_TEST_STEP)
    steps = checkpoint(folder, "last.ckpt")["global_step"]
    assert steps == EPOCHS * batches(experiment) * (2 if experiment == "adversarial" else 1)
    assert checkpoint(folder, "best.ckpt")["epoch"] + 1 == stored["objective"]["epoch"]


@pytest.mark.parametrize("experiment", slow_except("adversarial", "autoencoder", "gestures"))
def test_a_stopped_run_resumes_bitwise(runs: Runs, experiment: str) -> None:
    """It is stopped inside the first epoch, in a validation, and after the last batch of an epoch."""
    whole = runs.run(experiment, name="whole")
    for stop in (("train", 0, 3), ("val", 1, 0), ("train", 2, 1), ("train", 2, -1)):
        parts = runs.run(experiment, name="parts", stop=stop)
        epoch = stop[1] + (stop[2] == -1)
        inside = 0 if stop[2] == -1 else batches(experiment) if stop[0] == "val" else stop[2] + 1
        steps = epoch * batches(experiment) + inside
        assert checkpoint(parts, "last.ckpt")["global_step"] == steps * (2 if experiment == "adversarial" else 1), stop
    runs.run(experiment, name="parts")
    assert (parts / "run.log").read_text().count("resuming from") == 4
    assert_equal_runs(whole, parts)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["autoencoder", "text"])
def test_a_run_with_worker_processes_resumes_bitwise(runs: Runs, experiment: str) -> None:
    words = ("data.num_workers=2", "+trainer.val_check_interval=0.5")
    whole = runs.run(experiment, *words, name="whole")
    runs.run(experiment, *words, name="parts", stop=("train", 0, 3))
    runs.run(experiment, *words, name="parts", stop=("train", 1, 6))
    assert_equal_runs(whole, runs.run(experiment, *words, name="parts"))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_killed_command_resumes_bitwise(runs: Runs, experiment: str) -> None:
    """SIGKILL leaves no time to save: the steps since the last checkpoint are repeated."""
    saves = ("checkpoint.every_steps=2", NO_PAUSE, "+callbacks.kill._target_=tests.user_modules.user_runs.KillOnce")
    words = ["--config-dir", str(CONF), *runs.overrides(experiment, *saves)]
    command(*words, "+callbacks.kill.step=null", "hydra.run.dir=whole", cwd=runs.folder)
    command(*words, "+callbacks.kill.step=17", "hydra.run.dir=parts", cwd=runs.folder, code=-signal.SIGKILL)
    output = command("resume=parts", *TRUSTED, cwd=runs.folder)
    step = 14 if experiment == "contrastive" else 16  # its second epoch ends at step 16, and is too short to be saved
    assert f"resuming from parts/checkpoints/last.ckpt, after step {step}" in output
    assert_equal_runs(runs.folder / "whole", runs.folder / "parts")


@pytest.mark.parametrize("experiment", slow_except("autoencoder"))
def test_a_sweep_on_two_slots_ranks_by_the_objective(runs: Runs, experiment: str) -> None:
    objective, mode = objective_of(experiment)
    words = [word for word in runs.overrides(experiment) if not word.startswith("trainer.max_epochs")]
    names = ("sweep.name=epochs", "hydra.launcher.slots=2", "trainer.max_epochs=1,3")
    output = command("-m", "--config-dir", str(CONF), *words, *names, cwd=runs.folder)
    folder = runs.folder / "outputs" / "sweeps" / "epochs"
    scores = [result(folder / str(number))["objective"]["value"] for number in range(2)]
    with (folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = [float(row[objective]) for row in rows]
    assert found == pytest.approx(sorted_best_first(scores, mode), abs=1e-4)
    assert f"best:epochs is run {1 if scores[1] == sorted_best_first(scores, mode)[0] else 0}" in output
    assert [row["status"] for row in rows] == ["completed", "completed"]


@pytest.mark.parametrize("experiment", slow_except("gestures", all_names=WITH_TEST_STEP))
def test_evaluation_has_the_scores_of_the_run(
    runs: Runs, experiment: str, run_command: Callable[..., tuple[int, str, str]]
) -> None:
    folder = runs.run(experiment)
    code, output, errors = run_command("evaluate", str(folder), *TRUSTED)
    assert code == 0, errors
    assert "the run    has exactly the same scores" in output
