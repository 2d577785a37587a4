"""A cost is worked out from a trial whose job is known."""

import math
from pathlib import Path

import pytest

from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.trial import Epoch, Lap, Trial

STEP, VALIDATED, TESTED, BESIDE, FIXED = 0.01, 0.02, 0.03, 0.5, 3.0  # seconds


def epoch(steps: int, size: int, slower: float = 0.0) -> Epoch:
    train, val = steps * STEP, 4 * VALIDATED
    return Epoch(train + val + BESIDE + slower, Lap(train, steps), Lap(val, 4), size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"x" * 5000)
    (tmp_path / "metrics.csv").write_bytes(b"x" * 1300)
    return tmp_path


def trial(epochs: list[Epoch], **known: float) -> Trial:
    batches = {"train": 100, "val": 10, "test": 6}
    return Trial(batches, epochs=epochs, test=Lap(4 * TESTED, 4), **known)  # type: ignore[arg-type]


def seconds(epochs: list[Epoch]) -> float:
    return FIXED + sum(each.seconds for each in epochs) + 4 * TESTED


def test_the_whole_job_is_worked_out_of_shorter_epochs(folder: Path) -> None:
    tried = [epoch(32, 500, slower=0.7), epoch(32, 600), epoch(32, 700)]
    trial(tried).write(folder)
    cost = Cost.of(folder, seconds(tried))
    whole = 100 * STEP + 10 * VALIDATED + BESIDE
    assert cost.epoch == pytest.approx(whole)
    assert cost.seconds(20) == pytest.approx(FIXED + 0.7 + 20 * whole + 6 * TESTED)  # the first is slower once
    assert cost.weights == 5000
    assert cost.files == pytest.approx(1300 - 3 * 100)
    assert cost.disk(20) == pytest.approx(1000 + 20 * 100 * 100 / 32)


def test_an_epoch_that_was_broken_off_is_enough(folder: Path) -> None:
    tried = [epoch(4, 500)]
    trial(tried).write(folder)
    cost = Cost.of(folder, seconds(tried))
    assert cost.seconds(2) == pytest.approx(FIXED + 2 * (100 * STEP + 10 * VALIDATED + BESIDE) + 6 * TESTED)


def test_validations_and_steps_are_those_of_the_job(folder: Path) -> None:
    tried = [epoch(32, 500), epoch(32, 500)]
    trial(tried, validations=0.5, max_steps=250).write(folder)
    cost = Cost.of(folder, seconds(tried))
    assert cost.epoch == pytest.approx(100 * STEP + 5 * VALIDATED + BESIDE)
    assert cost.epochs == pytest.approx(2.5)
    trial(tried).write(folder)
    assert Cost.of(folder, seconds(tried)).epochs == math.inf


def test_trials_side_by_side_are_averaged() -> None:
    one = Cost(1.0, 0.5, math.inf, 30, 100, 0, 10, 2, 40)
    other = Cost(3.0, 0.7, math.inf, 50, 100, 0, 12, 2, 40)
    assert Cost.between([one, other]) == Cost(2.0, pytest.approx(0.6), math.inf, 40, 100, 0, 11, 2, 40)
