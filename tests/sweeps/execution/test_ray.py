"""Jobs on Ray."""

import pytest

from tests.sweeps.sweeping import FAULT, Place

pytest.importorskip("ray")
pytest.importorskip("hydra_plugins.hydra_ray_launcher")
QUIET = ("+hydra.launcher.ray.init.log_to_driver=false", "+hydra.launcher.ray.remote.max_retries=0")


@pytest.mark.slow
def test_a_sweep_on_ray_resumes_after_a_worker_crashed(place: Place) -> None:
    words = ("sweep.name=ray", "hydra/launcher=ray", *QUIET, *FAULT, "+callbacks.fault.kind=none,raise,kill")
    output, _ = place.sweep(*words, code=1, slots=None)
    assert place.statuses("ray", 3) == ["completed", "failed", "waiting"]
    assert "1 failed: RuntimeError: the cable is loose: #1" in output
    assert "the launcher has stopped: WorkerCrashedError" in output
    assert "1 not done: #2; the same command resumes them" in output
    (place.folder / "cured").touch()
    output, _ = place.sweep(*words, slots=None)
    assert "3 jobs, 2 to do" in output
    assert place.statuses("ray", 3) == ["completed"] * 3
    assert sorted(place.attempts("ray"))[:2] == [(0, "completed"), (1, "completed")]
