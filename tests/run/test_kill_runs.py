"""Runs and sweeps that are killed at random moments end like undisturbed ones."""

from pathlib import Path

import pytest
from kill_runs import all_plans, run_plan

PLANS = all_plans()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_result_is_unchanged_by_four_kills(tmp_path: Path, name: str) -> None:
    result = run_plan(name, PLANS[name], 4, tmp_path, seed=0)
    assert result.differences == []
    assert result.kills >= 4
