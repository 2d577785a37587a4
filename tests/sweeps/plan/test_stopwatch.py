"""A trial sees a few batches, and counts those of the whole job."""

import math
from pathlib import Path

import pytest

from tests.conftest import Compose
from trainyard.sweeps.plan import stopwatch
from trainyard.sweeps.plan.trial import Trial
from trainyard.sweeps.plan.trials import STOPWATCH
from trainyard.training import train

SMALL = ("model.hidden_dims=[8]", "logger=csv", "callbacks=none", STOPWATCH)
EXAMPLES = {"train": 1259, "val": 269, "test": 269}  # of the digits


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """End no trial for its time; a test that wants that says so."""
    monkeypatch.setattr(stopwatch, "TOO_LONG", math.inf)
    monkeypatch.setattr(stopwatch, "ENOUGH", math.inf)


def tried(compose_run: Compose, *words: str) -> Trial:
    cfg = compose_run(*SMALL, *words)
    train(cfg)
    return Trial.read(Path(cfg.run.dir))


def batches(size: int, scale: int = 4) -> dict[str, int]:
    return {"train": -(-EXAMPLES["train"] // size), **{k: -(-EXAMPLES[k] // (size * scale)) for k in ("val", "test")}}


def test_long_epochs_are_cut_and_counted_whole(compose_run: Compose) -> None:
    trial = tried(compose_run, "data.batch_size=8", "trainer.max_epochs=3")
    assert trial.batches == batches(8)
    assert [epoch.train.batches for epoch in trial.epochs] == [32 - stopwatch.WARM, 32, 32]
    assert [epoch.val.batches for epoch in trial.epochs] == [4, 4, 4]
    assert trial.test.batches == 4
    assert all(epoch.seconds > epoch.train.seconds + epoch.val.seconds > 0 for epoch in trial.epochs)
    assert trial.epochs[0].size < trial.epochs[1].size < trial.epochs[2].size
    assert trial.memory > 0


def test_what_a_person_limits_is_the_job(compose_run: Compose) -> None:
    limits = ("+trainer.limit_train_batches=0.5", "+trainer.limit_val_batches=1", "+trainer.val_check_interval=0.25")
    trial = tried(compose_run, "data.batch_size=8", *limits, "+trainer.max_steps=50", "trainer.max_epochs=2")
    assert (trial.batches["train"], trial.batches["val"]) == (batches(8)["train"] // 2, 1)
    assert trial.validations == 4
    assert trial.max_steps == 50


def test_a_trial_ends_after_enough(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "ENOUGH", 0.0)
    assert len(tried(compose_run, "trainer.max_epochs=100").epochs) == stopwatch.EPOCHS


def test_a_slow_epoch_is_broken_off(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "TOO_LONG", 0.0)
    trial = tried(compose_run, "data.batch_size=8", "trainer.max_epochs=100", "+trainer.min_epochs=50")
    [epoch] = trial.epochs
    assert epoch.train.batches == 2
    assert epoch.val.batches == 4
    assert trial.batches == batches(8)


@pytest.mark.slow
def test_processes_that_train_together_are_one_trial(compose_run: Compose) -> None:
    trial = tried(compose_run, "accelerator=ddp_cpu", "trainer.max_epochs=4")  # fit and test each spawn two
    assert trial.batches == {"train": 10, "val": 1, "test": 1}
    assert 1 <= len(trial.epochs) <= 4
    assert trial.test.batches == 1
