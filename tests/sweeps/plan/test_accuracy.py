"""What a plan says is what a sweep takes."""

import re
import time
from pathlib import Path
from statistics import mean

import pytest

from tests.sweeps.plan.processor import FILE
from tests.sweeps.sweeping import Place
from trainyard.sweeps.plan.cost import Cost

FULL = ("logger=both", "callbacks=default")
TOTAL = re.compile(r"about (\d+) s, \d+ MiB of memory, ([\d.]+) MiB of disk")
JOBS = [
    ("mlp", "model=mlp", "model.hidden_dims=[256,128]", "trainer.max_epochs=20"),
    ("cnn", "model=cnn", "model.hidden_dims=[128]", "trainer.max_epochs=20"),
    ("cut", "model=mlp", "model.hidden_dims=[64]", "data.batch_size=4", "trainer.max_epochs=4"),  # 315 steps an epoch
]


def seconds(folder: Path) -> float:
    return float((folder / FILE).read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("words", JOBS, ids=[words[0] for words in JOBS])
def test_a_trial_tells_the_seconds_of_the_processor(place: Place, words: tuple[str, ...]) -> None:
    name, *grid = words
    clocks = "+callbacks.clock._target_=tests.sweeps.plan.processor.Trial,tests.sweeps.plan.processor.Seconds"
    place.sweep(f"sweep.name={name}", *FULL, *grid, clocks, "seed=range(3)")
    folders = [place.of(name) / str(number) for number in range(6)]
    epochs = int(grid[-1].partition("=")[2])
    said = [Cost.of(folder, seconds(folder)).seconds(epochs) for folder in folders[:3]]
    assert 0.8 < mean(said) / mean(map(seconds, folders[3:])) < 1.2


@pytest.mark.slow
def test_a_grid_of_24_jobs_takes_what_was_planned(place: Place) -> None:
    grid = ("model=mlp,cnn", "model.hidden_dims=[128]", "optimizer=sgd,adam,rmsprop", "seed=range(4)")
    ratios = []
    for attempt in range(3):  # other work on the machine may come or go between a plan and its sweep
        words = (f"sweep.name=close{attempt}", *FULL, *grid, "trainer.max_epochs=10")
        planned = TOTAL.search(place.sweep(*words, "sweep.plan=true")[0])
        assert planned is not None
        started = time.perf_counter()
        place.sweep(*words)
        ratios.append(float(planned[1]) / (time.perf_counter() - started))
        files = [path for path in place.of(f"close{attempt}").rglob("*") if path.is_file()]
        assert float(planned[2]) == pytest.approx(sum(path.stat().st_size for path in files) / 2**20, rel=0.05)
        if 0.7 < ratios[-1] < 1.3:
            return
    pytest.fail(f"planned / taken: {ratios}")
