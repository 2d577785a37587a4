"""What a plan says is what a sweep takes."""

import re
from pathlib import Path

import lightning as L
import pytest

from tests.conftest import Compose
from tests.sweeps.sweeping import Place
from trainyard.sweeps.plan import stopwatch, trial
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.trials import STOPWATCH
from trainyard.training import train

TOTAL = re.compile(r"about (\d+) s, \d+ MiB of memory, ([\d.]+) MiB of disk")
SETUP, EPOCH, STEP, VALIDATED, TESTED = 3.0, 0.5, 0.01, 0.02, 0.03  # seconds
EPOCHS = 4


class Clock:
    """A clock that advances by what is computed alone."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


CLOCK = Clock()


class Work(L.Callback):
    """Has each part of a run take its time."""

    def on_fit_start(self, *_: object) -> None:
        CLOCK.now += SETUP

    def on_train_epoch_start(self, *_: object) -> None:
        CLOCK.now += EPOCH

    def on_train_batch_start(self, *_: object) -> None:
        CLOCK.now += STEP

    def on_validation_batch_start(self, *_: object) -> None:
        CLOCK.now += VALIDATED

    def on_test_batch_start(self, *_: object) -> None:
        CLOCK.now += TESTED


def test_a_trial_tells_the_seconds_of_the_job(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stopwatch, trial):
        monkeypatch.setattr(module, "time", CLOCK)
    job = ("model.hidden_dims=[8]", "data.batch_size=4", f"trainer.max_epochs={EPOCHS}", "callbacks=none", "logger=csv")
    seconds = {}
    for folder, shortened in (("tried", [STOPWATCH]), ("whole", [])):
        CLOCK.now = 0.0
        train(compose_run(*job, *shortened, f"+callbacks.work._target_={__name__}.Work", folder=folder))
        seconds[folder] = CLOCK.now
    steps = 315  # of an epoch: 1,259 digits, four at a time
    assert seconds["whole"] > SETUP + EPOCHS * (EPOCH + steps * STEP)
    assert seconds["tried"] < 0.5 * seconds["whole"]
    told = Cost.of(Path(compose_run(folder="tried").run.dir), seconds["tried"]).seconds(EPOCHS)
    assert told == pytest.approx(seconds["whole"], rel=0.01)


@pytest.mark.slow
def test_a_grid_takes_the_disk_that_was_planned(place: Place) -> None:
    grid = ("model=mlp,cnn", "model.hidden_dims=[128]", "optimizer=sgd,adam,rmsprop", "seed=range(4)")
    words = (
        "sweep.name=planned",
        "logger=both",
        "callbacks=default",
        "callbacks.budget.share=0",
        *grid,
        "trainer.max_epochs=10",
    )
    planned = TOTAL.search(place.sweep(*words, "sweep.plan=true")[0])
    assert planned is not None
    place.sweep(*words)
    files = [path for path in place.of("planned").rglob("*") if path.is_file()]
    assert float(planned[2]) == pytest.approx(sum(path.stat().st_size for path in files) / 2**20, rel=0.05)
