"""`sweep.plan=true`: jobs, networks, time and disk space of a sweep."""

import math
import re
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
from omegaconf import OmegaConf

from tests.conftest import Compose
from tests.sweeps.sweeping import FAULT, Place
from trainyard.config.composition import compose, instantiate
from trainyard.run.training import train
from trainyard.sweeps import plan as plan_module
from trainyard.sweeps.execution.job_checks import check_shapes
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan import (
    MEASURE,
    MIB,
    Cost,
    cost_key,
    group_by_cost,
    job_table,
    shorten,
    total_line,
)

TOTAL = re.compile(r"^total +(\d+) jobs, 2 at a time: about (\d+) (?:s|min), ([\d.]+) MiB of disk$", re.M)
NETWORK = ("1,234", "3x8x8 -> 10")
COST = Cost(
    NETWORK, startup=1.0, epoch=0.25, max_epochs=math.inf, files=1.5 * MIB, growth=0.5 * MIB, checkpoints=2 * MIB
)
SETUP, EPOCH, STEP, VALIDATED = 3.0, 0.5, 0.01, 0.02  # seconds


def test_a_plan_lists_all_jobs_and_writes_nothing(place: Place) -> None:
    output, _ = place.sweep("optimizer=sgd,adam", "seed=0,1", "sweep.plan=true")
    assert "4 jobs, 4 to do" in output
    assert "measuring  2 of 4 jobs" in output
    network = [f"{64 * 8 + 8 + 8 * 10 + 10}", "1x8x8", "->", "10"]
    assert [line.split()[:7] for line in output.splitlines() if line.startswith("#")] == [
        ["#0", "optimizer=sgd", "seed=0", *network],
        ["#1", "optimizer=sgd", "seed=1", *network],
        ["#2", "optimizer=adam", "seed=0", *network],
        ["#3", "optimizer=adam", "seed=1", *network],
    ]
    found = TOTAL.search(output)
    assert found is not None, output
    assert int(found[1]) == 4
    assert not list(place.folder.iterdir())


@pytest.mark.slow
def test_finished_jobs_are_neither_counted_nor_changed(place: Place) -> None:
    words = ("sweep.name=mine", "seed=0,1")
    place.sweep(*words)
    before = sorted(place.of("mine").rglob("*"))
    output, _ = place.sweep(*words, "sweep.plan=true")
    assert "2 jobs, 0 to do" in output
    (place.of("mine") / "1" / "result.json").unlink()
    output, _ = place.sweep(*words, "sweep.plan=true")
    assert "2 jobs, 1 to do" in output
    assert [line.split()[0] for line in output.splitlines() if line.startswith("#")] == ["#1"]
    assert {*before} - {*place.of("mine").rglob("*")} == {place.of("mine") / "1" / "result.json"}
    _, errors = place.sweep("sweep.name=mine", "seed=0,2", "sweep.plan=true", code=1)
    assert "it is another sweep" in errors


def test_impossible_jobs_are_named_and_nothing_is_measured(place: Place) -> None:
    output, errors = place.sweep("data=digits,penguins", "augment=none,standard", "sweep.plan=true", code=1)
    assert "1 of 4 jobs cannot work" in errors
    assert "data=penguins augment=standard" in errors
    assert "measuring" not in output
    assert not list(place.folder.iterdir())


def test_a_network_that_cannot_process_its_data_is_named_without_training_it(place: Place) -> None:
    model = "model._target_=tests.sweeps.faults.FourInputs"
    printed, errors = place.sweep("data=penguins,digits", model, "sweep.plan=true", code=1)
    assert "1 of 2 jobs cannot work" in errors
    assert "#1 data=digits" in errors
    assert "model=mlp data=digits: it cannot process inputs of shape 1x8x8 (" in errors
    assert "measuring" not in printed
    assert not list(place.folder.iterdir())


def test_a_network_that_reads_values_is_not_checked() -> None:
    cfg = compose(["model._target_=tests.sweeps.faults.ReadsValue", "data=penguins"])
    spec = instantiate(cfg.data, order_seed=0).spec
    check_shapes(instantiate(cfg.model, spec=spec), cfg.run.choices)


def test_a_failed_measurement_is_named_and_not_in_the_total(place: Place) -> None:
    output, _ = place.sweep("sweep.plan=true", *FAULT, "+callbacks.fault.kind=none,raise")
    assert "+callbacks.fault.kind=raise: its shortened run failed; the total is without it" in output
    found = TOTAL.search(output)
    assert found is not None, output
    assert int(found[1]) == 1


class Clock:
    """A clock that advances only when a test says so."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


CLOCK = Clock()


class Work(L.Callback):
    """Takes a known time for each part of a run."""

    def on_fit_start(self, *_: object) -> None:
        CLOCK.now += SETUP

    def on_train_epoch_start(self, *_: object) -> None:
        CLOCK.now += EPOCH

    def on_train_batch_start(self, *_: object) -> None:
        CLOCK.now += STEP

    def on_validation_batch_start(self, *_: object) -> None:
        CLOCK.now += VALIDATED


@pytest.mark.parametrize(
    "limits",
    [
        (),
        ("+trainer.limit_train_batches=0.5",),
        ("+trainer.limit_train_batches=40",),
        ("+trainer.max_steps=630",),
    ],
)
def test_a_shortened_run_gives_the_seconds_of_the_job(
    compose_run: Compose, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, ...]
) -> None:
    monkeypatch.setattr(plan_module, "time", CLOCK)
    job = ("model.hidden_dims=[8]", "data.batch_size=4", "trainer.max_epochs=4", "callbacks=none", "logger=csv")
    seconds = {}
    for folder, extra in (("shortened", [MEASURE]), ("whole", [])):
        CLOCK.now = 0.0
        train(compose_run(*job, *limits, *extra, f"+callbacks.work._target_={__name__}.Work", folder=folder))
        seconds[folder] = CLOCK.now
    assert seconds["whole"] > SETUP + 2 * (EPOCH + 40 * STEP)
    assert seconds["shortened"] < seconds["whole"]
    estimated = Cost.read(Path(compose_run(folder="shortened").run.dir), seconds["shortened"])
    assert estimated.time(4) == pytest.approx(seconds["whole"], rel=0.06)  # the last validation, and half epochs


def test_a_run_of_slow_steps_ends_early(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "MAX_SECONDS", 0.0)
    cfg = compose_run("model.hidden_dims=[8]", "data.batch_size=8", "logger=csv", "callbacks=none", MEASURE)
    train(cfg)
    assert len((Path(cfg.run.dir) / "metrics.csv").read_text().splitlines()) <= 3


@pytest.mark.slow
def test_processes_that_train_together_are_measured(compose_run: Compose) -> None:
    cfg = compose_run("model.hidden_dims=[8]", "accelerator=ddp_cpu", "trainer.max_epochs=4", MEASURE)
    train(cfg)
    assert Cost.read(Path(cfg.run.dir), 60.0).epoch > 0


@pytest.mark.slow
def test_a_grid_takes_the_disk_space_that_was_estimated(place: Place) -> None:
    grid = ("model=mlp,cnn", "model.hidden_dims=[128]", "optimizer=sgd,adam,rmsprop", "seed=range(4)")
    words = ("sweep.name=planned", "logger=both", "callbacks=default", "callbacks.budget.share=0", *grid)
    planned = TOTAL.search(place.sweep(*words, "trainer.max_epochs=10", "sweep.plan=true")[0])
    assert planned is not None
    place.sweep(*words, "trainer.max_epochs=10")
    files = [path for path in place.of("planned").rglob("*") if path.is_file()]
    assert float(planned[3]) == pytest.approx(sum(path.stat().st_size for path in files) / 2**20, rel=0.1)


SAME = [
    "optimizer.lr=1e-3",
    "model.dropout=.25",
    "seed=1",
    "trainer.max_epochs=7",
    "data.seed=3",
    "+data.fold=1",
    "objective=val/loss",
]
OTHER = ["optimizer=sgd", "model=cnn", "model.hidden_dims=[7]", "data.batch_size=32", "data.train_fraction=0.5"]
OTHER += ["augment=standard", "logger=csv", "callbacks=none", "ema_decay=null"]


@pytest.mark.parametrize("override", SAME)
def test_overrides_that_do_not_change_the_cost(override: str) -> None:
    assert cost_key(["model=mlp", override]) == cost_key(["model=mlp"])


@pytest.mark.parametrize("override", OTHER)
def test_overrides_that_change_the_cost(override: str) -> None:
    assert cost_key(["model=mlp", override]) != cost_key(["model=mlp"])


def test_jobs_are_grouped_by_cost_the_longest_first(tmp_path: Path) -> None:
    overrides = [
        ["hydra.run.dir=here", f"optimizer={optimizer}", f"trainer.max_epochs={epochs}", "seed=0"]
        for optimizer in ("sgd", "adam")
        for epochs in (2, 5, 3)
    ]
    jobs = [Job(number, words, tmp_path / str(number)) for number, words in enumerate(overrides)]
    groups = group_by_cost(jobs, map(compose, overrides))
    found = [[(job.number, epochs) for job, epochs in group] for group in groups]
    assert found == [[(1, 5), (2, 3), (0, 2)], [(4, 5), (5, 3), (3, 2)]]


def test_a_shortened_run_reports_to_no_server_and_trains_all_layers() -> None:
    loggers = {
        "tensorboard": {"_target_": "trainyard.callbacks.tensorboard.RobustTensorBoardLogger"},
        "wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger"},
        "csv": {"_target_": "trainyard.run.metrics_table.MetricsTable"},
        "none": None,
    }
    config = OmegaConf.create({"logger": loggers, "finetune": {"unfreeze": [0.2, 5]}})
    assert shorten(["seed=1"], config) == ["seed=1", MEASURE, "finetune.unfreeze=[0,0]", "logger.wandb=null"]


def jobs_of(count: int) -> list[Job]:
    return [Job(number, [f"seed={number}"], Path(str(number))) for number in range(count)]


def test_a_long_table_has_the_first_and_last_jobs() -> None:
    head, *few = job_table(jobs_of(40), dict.fromkeys(range(40), (COST, 4)), ["seed"]).splitlines()
    assert head.split() == ["job", "parameters", "input", "->", "output", "s/epoch", "s/job", "MiB/job"]
    assert few[7].split() == ["#7", "seed=7", "1,234", "3x8x8", "->", "10", "0.250", "2.0", "5.0"]
    assert len(few) == 40
    _, *many = job_table(jobs_of(50), {0: (COST, 4)}, ["seed"]).splitlines()
    shown = [f"#{number}" for number in range(50)]
    assert [line.split()[0] for line in many] == [*shown[:20], "...", *shown[30:]]
    assert many[20].split() == ["...", "10", "more"]
    assert many[-1].split() == ["#49", "seed=49", *["?"] * 5]


def test_the_total_depends_on_slots_and_kept_checkpoints() -> None:
    jobs = [(COST, 4.0)] * 3
    assert total_line(jobs, 2, None, 5.0, "about") == "total      3 jobs, 2 at a time: about 9 s, 15.0 MiB of disk"
    assert "1 at a time: at most 11 s, 11.0 MiB" in total_line(jobs, 1, 1, 5.0, "at most")
    limited = replace(COST, max_epochs=2.0)
    assert limited.time(10) == 1.5
    assert limited.disk(10) == 2.0 * MIB
