"""Sweeps with one invalid value: no job starts if it is known before, otherwise only that job fails."""

import pytest

from tests.bad_input.case_files import read_folder
from tests.sweeps.conftest import place as place  # a fixture
from tests.sweeps.sweeping import Place


def test_no_job_starts_if_one_is_invalid(place: Place) -> None:
    words = ("data=penguins,digits", "augment=none,flip", "optimizer=sgd", "optimizer.momentum=0.9,0", "sweep.name=bad")
    _, errors = place.sweep(*words, code=1)
    assert errors.startswith("5 of 8 jobs cannot work; none was started\n")
    assert "augment=flip data=penguins" in errors
    assert "optimizer: Nesterov momentum requires a momentum and zero dampening" in errors
    assert max(map(len, errors.splitlines())) <= 400
    assert read_folder(place.folder) == {}


@pytest.mark.slow
def test_failing_job_does_not_stop_the_others(place: Place) -> None:
    words = ("optimizer=sgd", "optimizer.lr=0.05,1e30,0.01", "sweep.name=alone")
    output, errors = place.sweep(*words, code=1)
    assert place.statuses("alone", 3) == ["completed", "failed", "completed"]
    assert place.result("alone", 1)["error"].startswith("FloatingPointError: val/loss is nan")
    assert "Traceback" not in output + errors
