"""Runs and sweeps that are killed at random moments end like undisturbed ones."""

from pathlib import Path

import pytest
from kill_runs import plans, try_plan

PLANS = plans()


def kill(folder: Path, name: str, kills: int) -> None:
    tally = try_plan(name, PLANS[name], kills, folder, seed=0)
    assert tally.differences == []
    assert tally.kills >= kills


def test_two_kills_change_nothing(tmp_path: Path) -> None:
    kill(tmp_path, "scheduler=cosine", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_kills_change_nothing(tmp_path: Path, name: str) -> None:
    kill(tmp_path, name, 4)
