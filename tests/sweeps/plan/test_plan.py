"""What a person sees of a plan, and what is left of it."""

import re

import pytest
from omegaconf import OmegaConf

from tests.sweeps.sweeping import FAULT, Place
from trainyard.sweeps.plan.trials import STOPWATCH, trial_of

TOTAL = re.compile(r"^total +(\d+) jobs, 2 at a time: about (\d+) s, (\d+) MiB of memory, ([\d.]+) MiB of disk$", re.M)


def test_a_plan_tells_all_jobs_and_leaves_nothing(place: Place) -> None:
    said, _ = place.sweep("optimizer=sgd,adam", "seed=0,1", "sweep.plan=true")
    assert "4 jobs, 4 to do" in said
    assert "trials     of 2 of the 4 jobs" in said
    assert [line.split()[:3] for line in said.splitlines() if line.startswith("#")] == [
        ["#0", "optimizer=sgd", "seed=0"],
        ["#1", "optimizer=sgd", "seed=1"],
        ["#2", "optimizer=adam", "seed=0"],
        ["#3", "optimizer=adam", "seed=1"],
    ]
    [row] = [line.split() for line in said.splitlines() if line.startswith("optimizer=adam")]
    assert row[1:6] == ["2", f"{64 * 8 + 8 + 8 * 10 + 10}", "1x8x8", "->", "10"]
    found = TOTAL.search(said)
    assert found is not None, said
    assert int(found[1]) == 4
    assert not list(place.folder.iterdir())


@pytest.mark.slow
def test_what_is_done_is_not_counted_and_stays(place: Place) -> None:
    words = ("sweep.name=mine", "seed=0,1")
    place.sweep(*words)
    before = sorted(place.of("mine").rglob("*"))
    said, _ = place.sweep(*words, "sweep.plan=true")
    assert "2 jobs, 0 to do" in said
    (place.of("mine") / "1" / "result.json").unlink()
    said, _ = place.sweep(*words, "sweep.plan=true")
    assert "2 jobs, 1 to do" in said
    assert [line.split()[0] for line in said.splitlines() if line.startswith("#")] == ["#1"]
    assert {*before} - {*place.of("mine").rglob("*")} == {place.of("mine") / "1" / "result.json"}
    _, errors = place.sweep("sweep.name=mine", "seed=0,2", "sweep.plan=true", code=1)
    assert "it is another sweep" in errors


def test_what_cannot_work_is_named_and_nothing_tried(place: Place) -> None:
    said, errors = place.sweep("data=digits,penguins", "augment=none,standard", "sweep.plan=true", code=1)
    assert "1 of 4 jobs cannot work" in errors
    assert "data=penguins augment=standard" in errors
    assert "trials" not in said
    assert not list(place.folder.iterdir())


def test_a_trial_that_fails_is_named_and_the_total_is_without_it(place: Place) -> None:
    said, _ = place.sweep("sweep.plan=true", *FAULT, "+callbacks.fault.kind=none,raise")
    assert "+callbacks.fault.kind=raise: its trial failed, and the total is without it" in said
    found = TOTAL.search(said)
    assert found is not None, said
    assert int(found[1]) == 1


def test_a_trial_tells_no_server() -> None:
    loggers = {
        "tensorboard": {"_target_": "lightning.pytorch.loggers.TensorBoardLogger"},
        "wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger"},
        "csv": {"_target_": "trainyard.metrics_table.MetricsTable"},
        "none": None,
    }
    config = OmegaConf.create({"logger": loggers, "finetune": {"thaw": []}})
    assert trial_of(["seed=1"], config) == ["seed=1", STOPWATCH, "logger.wandb=null"]


def test_layers_that_join_late_are_tried_at_once() -> None:
    config = OmegaConf.create({"finetune": {"thaw": [0.2, 5]}})
    assert trial_of([], config) == [STOPWATCH, "finetune.thaw=[0,0]"]
