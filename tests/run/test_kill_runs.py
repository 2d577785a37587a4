"""Runs and sweeps that are killed at random moments end like undisturbed ones."""

from pathlib import Path

import pytest
from kill_runs import plans, try_plan

PLANS = plans()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_result_is_unchanged_by_four_kills(tmp_path: Path, name: str) -> None:
    tally = try_plan(name, PLANS[name], 4, tmp_path, seed=0)
    assert tally.differences == []
    assert tally.kills >= 4
