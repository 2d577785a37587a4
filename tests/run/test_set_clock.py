"""The system clock is set back by an hour or ahead by a year during a run."""

import json
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import Compose
from tests.run.simulated_faults import SMALL, settable_clock
from trainyard.history.stored_run import StoredRun
from trainyard.run.training import train

HOUR, YEAR = 3600.0, 365 * 86400.0


@pytest.mark.parametrize("by", [-HOUR, YEAR])
def test_seconds_curves_and_status_do_not_depend_on_the_clock(by: float, compose_run: Compose, tmp_path: Path) -> None:
    began = time.monotonic()
    words = ("trainer.max_epochs=3", f"+callbacks.clock={{_target_:tests.run.simulated_faults.SetClock,by:{by}}}")
    with settable_clock():
        train(compose_run(*SMALL, "callbacks=default", *words))
    passed = time.monotonic() - began
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert 0 < result["seconds"] <= passed
    assert StoredRun(tmp_path / "run").status == "completed"
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("val/loss")) == 3
    assert events.Scalars("test/loss"), "the test came after the clock was set"


@pytest.mark.parametrize(("written", "status"), [(-400.0, "unfinished"), (-60.0, "running"), (HOUR, "unfinished")])
def test_a_run_with_files_from_the_future_is_not_running(
    written: float, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("run:\n  dir: here\n")
    when = max(StoredRun(tmp_path).write_times)
    monkeypatch.setattr(time, "time", lambda: when - written)
    assert StoredRun(tmp_path).status == status
