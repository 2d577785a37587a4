"""A sweep that is killed at any moment, and started again until it is done, ends like one that nobody killed."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.sweeping import EAGER, FAULT, Place, kill, living, scores, until

JOBS = 4
GRID = (*FAULT, *EAGER, "+callbacks.fault.pause=0.15", "trainer.max_epochs=3", "model.dropout=0.0,0.2", "seed=0,1")


def outcome(place: Place, name: str) -> dict[int, Any]:
    """What a sweep has found: of each job the scores, the curves, and how it ended at last by the journal."""
    states = dict(place.attempts(name))  # the last attempt at each job counts
    folders = {number: place.of(name) / str(number) for number in range(JOBS)}
    return {n: (scores(folder), (folder / "metrics.csv").read_text(), states[n]) for n, folder in folders.items()}


def finished(place: Place, name: str) -> dict[Path, int]:
    """When the results of the jobs that are completed were written."""
    done = [number for number, status in enumerate(place.statuses(name, JOBS)) if status == "completed"]
    files = [place.of(name) / str(number) / "result.json" for number in done]
    return {file: file.stat().st_mtime_ns for file in files}


def killed(place: Place, name: str, moments: list[float]) -> None:
    """Sweep, with a kill at each of these moments, in seconds since the start, and then to the end.

    A moment of 0 is that of the first checkpoint.
    """
    done: dict[Path, int] = {}
    for moment in moments:
        process = place.start(f"sweep.name={name}", *GRID)
        time.sleep(moment)
        if moment == 0:
            until(lambda: [*place.of(name).glob("*/checkpoints/last.ckpt")])
        kill(process)
        until(lambda leader=process.pid: not living(leader))  # type: ignore[misc]
        now = finished(place, name) if place.of(name).exists() else {}
        assert done.items() <= now.items(), "a job that was finished is lost, or ran again"
        done = now
    place.sweep(f"sweep.name={name}", *GRID)
    assert done.items() <= finished(place, name).items()


def compare(place: Place, moments: list[float]) -> None:
    """Sweep once without and once with kills, and see that both found the same."""
    start = time.monotonic()
    place.sweep("sweep.name=whole", *GRID)
    whole = time.monotonic() - start
    killed(place, "killed", [moment * whole for moment in moments])
    one, other = outcome(place, "whole"), outcome(place, "killed")
    assert [state for *_, state in one.values()] == ["completed"] * JOBS
    for number in range(JOBS):
        assert one[number] == other[number], f"job {number}, killed at {moments} of {whole:.1f} s"


@pytest.mark.slow
def test_three_kills_change_nothing(place: Place) -> None:
    compare(place, [0.55, 0.7, 0.85])


@pytest.mark.slow
def test_twenty_kills_change_nothing(place: Place) -> None:
    chance = random.Random(0)
    for round_ in range(4):  # each a sweep of its own: a sweep of four jobs is done after a few
        folder = place.folder / str(round_)
        folder.mkdir()
        compare(Place(folder), [0.0, *(chance.uniform(0.05, 0.95) for _ in range(4))])
    logs = place.folder.glob("*/outputs/sweeps/killed/*/run.log")
    assert any("going on from" in log.read_text() for log in logs), "no kill came in the middle of a job"
