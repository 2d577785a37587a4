"""How far a running job is, by its log."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from trainyard.sweeps import progress as module
from trainyard.sweeps.job import Job
from trainyard.sweeps.progress import JobProgress


def line(epoch: int, accuracy: float, loss: float = 0.5) -> str:
    return (
        f"2026-11-24 16:29:33,713 INFO    trainyard.callbacks.progress: epoch {epoch}/20  train/loss 0.3828  "
        f"train/acc 0.9063  val/loss {loss:.4f}  val/acc {accuracy:.4f}\n"
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


def progress(log: Path, objective: str = "val/acc") -> JobProgress:
    return JobProgress(Job(0, [], log.parent), objective)


def test_it_grows_with_the_log(log: Path) -> None:
    found = progress(log)
    assert (found.epoch, found.epochs, found.best, found.seconds_left) == (0, 0, None, None)
    log.write_text("data       digits\n" + line(1, 0.9))
    found.update()
    assert (found.epoch, found.epochs, found.best) == (1, 20, 0.9)
    with log.open("a") as file:
        file.write(line(2, 0.95) + line(3, 0.8))
    found.update()
    assert (found.epoch, found.best) == (3, 0.95)


def test_half_a_line_waits_for_its_other_half(log: Path) -> None:
    whole = line(2, 0.9)
    log.write_text(line(1, 0.7) + whole[:-5])
    found = progress(log)
    assert (found.epoch, found.best) == (1, 0.7)
    log.write_text(line(1, 0.7) + whole)
    found.update()
    assert (found.epoch, found.best) == (2, 0.9)


def test_of_a_loss_the_smallest_is_the_best(log: Path) -> None:
    log.write_text(line(1, 0.9, 0.4) + line(2, 0.9, 0.2) + line(3, 0.9, 0.3))
    assert progress(log, "val/loss").best == 0.2


def test_the_pace_is_that_since_the_start_not_of_an_earlier_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    log.write_text("".join(line(epoch, 0.5) for epoch in range(1, 16)))
    found = progress(log)
    assert (found.epoch, found.best, found.seconds_left) == (15, 0.5, None)
    now += 10.0
    with log.open("a") as file:
        file.write(line(16, 0.6))
    found.update()
    assert found.seconds_left == 40.0, "four more, each ten seconds like the one since then"
