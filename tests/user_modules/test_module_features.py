"""What Trainyard offers for its own models also works with plain Lightning modules."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.run.interrupted_runs import checkpoint
from tests.user_modules.user_runs import CONF, Runs, command, result, slow_except
from trainyard.run.metrics_csv import read_curves

SWEEP = ("-m", "--config-dir", str(CONF))
SCHEDULERS = ("constant", "cosine_warmup", "one_cycle", "plateau")
Commands = Callable[..., tuple[int, str, str]]


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_config_records_what_was_used(runs: Runs) -> None:
    """Groups that a module does not use are null; those that its constructor names are kept."""
    own, given = runs.run("gestures", name="own"), runs.run("gesture_partials", "optimizer=sgd", name="given")
    stored = [(folder / "config.yaml").read_text() for folder in (own, given)]
    assert "\noptimizer: null\n" in stored[0]
    assert "\nscheduler: null\n" in stored[0]
    assert "_target_: torch.optim.SGD" in stored[1]
    assert "\nfinetune: null\n" in stored[1]
    logs = [(folder / "run.log").read_text() for folder in (own, given)]
    assert "defined by the model" in logs[0]
    assert re.search(r"optimizer +sgd \(lr 0\.\d+\)", logs[1])


def test_dropped_hyperparameters_are_named_before_training(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    """The partials of a module cannot be in a checkpoint that opens with `weights_only=True`."""
    stored = checkpoint(runs.run("gestures"), "best.ckpt")["hyper_parameters"]
    assert stored == {"compile": False}
    text = caplog.text
    warning = next(line for line in text.splitlines() if "optimizer" in line and "scheduler" in line)
    assert text.index(warning) < text.index("epoch 1/3")


def test_no_warning_about_primitive_hyperparameters(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    runs.run("segmentation")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("experiment", slow_except("gestures", all_names=("adversarial", "autoencoder", "gestures")))
def test_average_of_the_weights(runs: Runs, experiment: str) -> None:
    """It is what best.ckpt contains, and a stopped run resumes it."""
    plain = runs.run(experiment, name="plain")
    whole = runs.run(experiment, "ema_decay=0.9", name="whole")
    runs.run(experiment, "ema_decay=0.9", name="parts", stop=("train", 1, 2))
    parts = runs.run(experiment, "ema_decay=0.9", name="parts")
    weights = [checkpoint(folder, "last.ckpt")["state_dict"] for folder in (plain, whole, parts)]
    assert all(torch.equal(weights[1][name], weights[2][name]) for name in weights[1])
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()


@pytest.mark.parametrize("option", slow_except("overfit", all_names=("detect_nan", "fast", "overfit", "profile")))
@pytest.mark.parametrize("experiment", ["autoencoder", "gesture_partials"])
def test_debug_options(runs: Runs, experiment: str, option: str) -> None:
    words = ["trainer.max_epochs=4"] if option == "overfit" else []
    folder = runs.run(experiment, f"debug={option}", *words)
    losses = read_curves(folder, by="epoch")
    name = "train_loss" if experiment == "autoencoder" else "train/loss"
    if option == "overfit":
        values = list(losses[name].values())
        assert values[-1] < values[0]
    if option == "profile":
        assert "training_step" in (folder / "fit-profile.txt").read_text()


def test_gradients_of_several_optimizers_are_logged_at_the_steps_of_the_other_metrics(runs: Runs) -> None:
    columns = read_curves(runs.run("adversarial"))
    assert [*columns["gradient/norm"]] == [*columns["g_loss"]] == [*range(30)]


def test_early_stopping_follows_the_objective(runs: Runs) -> None:
    """With a learning rate of zero, no epoch is better than the first."""
    words = ("callbacks=early_stopping", "callbacks.early_stopping.patience=2", "model.lr=0.0", "trainer.max_epochs=9")
    folder = runs.run("autoencoder", *words)
    assert result(folder)["epochs"] == 3


def test_runs_are_listed_and_compared(runs: Runs, run_command: Commands) -> None:
    folders = [runs.run("autoencoder", f"model.lr={lr}", name=f"lr{lr}") for lr in ("0.001", "0.01")]
    code, output, errors = run_command("runs", "diff", *map(str, folders))
    assert code == 0, errors
    assert "model.lr=0.001 -> 0.01" in output
    assert re.search(r"val/mse 0\.\d+ and 0\.\d+: B is better", output)
    code, output, errors = run_command("draw", "curves", *map(str, folders), "--of", "val/mse")
    assert code == 0, errors


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")  # torch's own compiler
def test_a_compiled_network_resumes_and_is_evaluated(runs: Runs, run_command: Commands) -> None:
    """`torch.compile` in `setup` renames the weights of the module."""
    folder = runs.run("gestures", "model.compile=true", stop=("train", 1, 2))
    assert runs.run("gestures", "model.compile=true") == folder
    assert (folder / "run.log").read_text().count("resuming from") == 1
    code, output, errors = run_command("evaluate", str(folder), "--trusted-packages", "tests")
    assert code == 0, errors
    assert "exactly the same scores" in output


@pytest.mark.slow
def test_tpe_with_hyperband_minimizes_a_metric(runs: Runs) -> None:
    rates = "model.lr=tag(log,interval(1e-5,1e-1))"
    search = ("sweep=tpe", "sweep.trials=12", "sweep.sampler.n_startup_trials=4", "sweep.pruner=hyperband", rates)
    words = ("trainer.max_epochs=9", "sweep.name=search", "hydra.launcher.slots=2", *search)
    command(*SWEEP, "experiment=autoencoder", *words, cwd=runs.folder)
    folder = runs.folder / "outputs" / "sweeps" / "search"
    rows = table(folder / "leaderboard.csv")
    found = [result(folder / str(number)) for number in range(12)]
    statuses = [stored["status"] for stored in found]
    assert set(statuses) == {"completed", "pruned"}
    completed = [stored["objective"]["value"] for stored in found if stored["status"] == "completed"]
    assert float(rows[0]["val/mse"]) == pytest.approx(min(completed), abs=1e-4)
    pruned = [stored["objective"]["value"] for stored in found if stored["status"] == "pruned"]
    assert sum(pruned) / len(pruned) > sum(completed) / len(completed), "the worse are pruned"


@pytest.mark.slow
def test_a_plan_lists_the_jobs(runs: Runs) -> None:
    words = ("sweep.name=planned", "data.batch_size=16,32", "seed=0,1", "sweep.plan=true")
    output = command(*SWEEP, "experiment=autoencoder", *words, cwd=runs.folder)
    assert "4 jobs" in output
    assert re.search(r"#0 +data\.batch_size=16 seed=0 +4,4\d\d ", output)
    assert not (runs.folder / "outputs" / "sweeps" / "planned").exists()


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["autoencoder", "gestures"])
def test_a_run_is_reproduced_bitwise(runs: Runs, experiment: str) -> None:
    words = ("--config-dir", str(CONF), *runs.overrides(experiment), "hydra.run.dir=outputs/runs/first")
    command(*words, cwd=runs.folder)
    output = command("runs", "reproduce", "first", "--yes", cwd=runs.folder)
    assert output.splitlines()[-1] == "bitwise equal"


@pytest.mark.slow
def test_an_invalid_job_is_reported_before_the_first_one_starts(runs: Runs) -> None:
    words = ("model.lr=0.01", "optimizer=adam,sgd", "sweep.name=invalid")
    output = command(*SWEEP, "experiment=autoencoder", *words, cwd=runs.folder, code=1)
    assert "optimizer=sgd" in output
    assert not (runs.folder / "outputs" / "sweeps" / "invalid" / "0").exists()


@pytest.mark.slurm
def test_a_sweep_on_slurm(runs: Runs) -> None:
    slurm = ("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "accelerator=cpu")
    words = ("sweep.name=slurm", "model.lr=0.001,0.01", "trainer.max_epochs=2", *slurm)
    command(*SWEEP, "experiment=autoencoder", *words, cwd=runs.folder)
    folder = runs.folder / "outputs" / "sweeps" / "slurm"
    scores = [json.loads((folder / str(n) / "result.json").read_text())["objective"]["value"] for n in range(2)]
    assert float(table(folder / "leaderboard.csv")[0]["val/mse"]) == pytest.approx(min(scores), abs=1e-4)


@pytest.mark.parametrize("scheduler", slow_except("one_cycle", all_names=SCHEDULERS))
def test_a_schedule_of_trainyard_in_a_module_that_passes_only_the_optimizer(runs: Runs, scheduler: str) -> None:
    """The module returns no interval; the schedule is nevertheless a function of the step."""
    words = ("optimizer=sgd", "optimizer.lr=0.1", f"scheduler={scheduler}", "callbacks=default")
    rates = list(read_curves(runs.run("gesture_partials", *words))["lr-SGD"].values())
    assert len(rates) == 30
    if scheduler in ("constant", "plateau"):
        assert set(rates) == {0.1}
    else:
        assert max(rates) == pytest.approx(0.1, rel=0.02)
        assert rates[-1] < 0.005
        assert len(set(rates)) > 20
