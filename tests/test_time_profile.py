"""The table of where the time of a run went."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainyard.time_profile import MOST, TimeProfile, part_of


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    own = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", own)
        patch.setattr(time, "perf_counter", own)
        yield own


@contextmanager
def action(profile: TimeProfile, clock: Clock, name: str, seconds: float) -> Iterator[None]:
    """An action that takes so long, beside what lies in it."""
    with profile.profile(name):
        clock.now += seconds
        yield


def rows(table: str) -> dict[str, list[str]]:
    """The columns of each row by its name."""
    split = (re.split(r"\s{2,}", line) for line in table.splitlines())
    return {name: columns for name, *columns in split}


def test_no_second_is_counted_twice(tmp_path: Path, clock: Clock) -> None:
    started = clock.now
    clock.now += 2.0
    profile = TimeProfile(str(tmp_path))
    for _ in range(2):
        with action(profile, clock, "run_training_batch", 0.25), action(profile, clock, "[Strategy]X.backward", 1.0):
            pass
        last = action(profile, clock, "[Callback]LastCheckpoint.on_train_epoch_end", 0.5)
        with last, action(profile, clock, "save_checkpoint", 1.0):
            pass
    clock.now += 2.5
    assert rows(profile.table(started)) == {
        "where the time went": ["calls", "seconds", "ms each", "share"],
        "checkpoints": ["2", "3.000", "1500.00", "30.0%"],
        "data and model built": ["1", "2.000", "2000.00", "20.0%"],
        "backward pass": ["2", "2.000", "1000.00", "20.0%"],
        "Lightning's loop and loggers": ["2", "0.500", "250.00", "5.0%"],
        "the rest: loggers, files": ["2.500", "25.0%"],
        "the run": ["10.000", "100.0%"],
    }


def test_the_smallest_of_many_parts_are_one(tmp_path: Path, clock: Clock) -> None:
    profile = TimeProfile(str(tmp_path))
    for seconds in range(1, 21):
        with action(profile, clock, f"[Callback]Own{seconds}.on_fit_start", seconds):
            pass
    table = rows(profile.table(100.0))
    assert len(table) == MOST + 2, "with heading and sum"
    assert list(table)[1] == "callback Own20"
    assert table["the rest: loggers, files"] == ["45.000", "21.4%"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("[Strategy]SingleDeviceStrategy.training_step", "forward pass and loss"),
        ("[Strategy]DDPStrategy.backward", "backward pass"),
        ("[LightningModule]MLP.optimizer_step", "optimizer and schedule"),
        ("[LightningModule]MLP.lr_scheduler_step", "optimizer and schedule"),
        ("[_TrainingEpochLoop].train_dataloader_next", "batches: read, augment, move"),
        ("[Strategy]SingleDeviceStrategy.batch_to_device", "batches: read, augment, move"),
        ("[_EvaluationLoop].val_next", "validation"),
        ("[LightningModule]MLP.on_validation_epoch_end", "validation"),
        ("[Strategy]SingleDeviceStrategy.test_step", "test"),
        ("[Callback]BestCheckpoint.on_train_epoch_end", "checkpoints"),
        ("save_checkpoint", "checkpoints"),
        ("[Callback]Progress.on_validation_start", "callback Progress"),
        ("run_training_epoch", "Lightning's loop and loggers"),
        ("[LightningModule]MLP.setup", "set-up and other hooks"),
    ],
)
def test_actions_have_the_words_of_a_person(name: str, part: str) -> None:
    assert part_of(name) == part


def test_training_in_other_processes_is_told_apart(tmp_path: Path) -> None:
    assert f"{tmp_path}/profile.txt" in TimeProfile(str(tmp_path)).table(0.0)
