"""The rates that are shown are those of a real run, whatever shapes them."""

import csv
from itertools import cycle
from pathlib import Path

import pytest

from trainyard.config import compose, group_options
from trainyard.inspect.schedule import Rates, layer_names, simulate_rates
from trainyard.training import train

DIGITS = ("accelerator=cpu", "trainer.max_epochs=4", "data.train_fraction=0.2", "data.batch_size=32")


def by_hand(course: list[float], epoch_steps: int = 2) -> Rates:
    return Rates({"weights": course}, {"weights": 1}, epoch_steps, waits=False)


@pytest.mark.parametrize(
    "words",
    [
        ["scheduler=one_cycle", "trainer.accumulate_grad_batches=3", "+trainer.limit_train_batches=7"],
        ["optimizer=sgd", "scheduler=cosine_warmup", "+trainer.max_steps=19"],
    ],
)
def test_a_run_logs_the_rates_that_are_shown(tmp_path: Path, words: list[str]) -> None:
    cfg = compose([f"hydra.run.dir={tmp_path}/run", *DIGITS, *words, "logger=csv", "trainer.log_every_n_steps=1"])
    shown = simulate_rates(cfg)
    train(cfg)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("weights", "biases_and_norms"):
        logged = {int(row["step"]): float(row[f"lr/{name}"]) for row in rows if row.get(f"lr/{name}")}
        assert len(logged) == shown.steps
        assert list(logged.values()) == pytest.approx(shown.groups[name])


PAIRS = list(zip(group_options("optimizer"), cycle(group_options("scheduler"))))


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_all_reach_the_rate_and_stay_within_it(optimizer: str, scheduler: str) -> None:
    cfg = compose([f"optimizer={optimizer}", f"scheduler={scheduler}", *DIGITS])
    rates = simulate_rates(cfg)
    assert (rates.epoch_steps, rates.steps) == (8, 32)
    assert rates.highest == pytest.approx(cfg.optimizer.lr, rel=0.01)
    assert rates.waits == (scheduler == "plateau")
    assert list(rates.by_layers()) == ["all parameters"], "weights and biases have one rate"


def test_a_strip_has_a_character_an_epoch_at_most() -> None:
    assert by_hand([0, 0, 0, 1, 2, 3, 8, 8, 8], 3).sparkline("weights", 9) == "·▃█"
    assert by_hand([0.0] * 10 + [8.0] * 10, 1).sparkline("weights", 4) == "··██"


def test_parameters_of_one_rate_are_one_course() -> None:
    groups = {"head_weights": [1.0], "head_biases_and_norms": [1.0], "layer_0_weights": [0.5]}
    assert Rates(groups, {}, 1, False).by_layers() == {"head": [1.0], "layer_0": [0.5]}
    assert layer_names(["weights", "biases_and_norms"]) == "all parameters"
    assert layer_names([f"layer_{number}_weights" for number in range(5)]) == "layer_0, layer_1, layer_2 and 2 more"
