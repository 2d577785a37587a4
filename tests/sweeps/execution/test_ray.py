"""Jobs on Ray."""

import sys

import pytest

from hydra_plugins.trainyard.ray_launcher import RayLauncher
from tests.sweeps.sweeping import FAULT, Place
from trainyard.io.errors import ConfigError


def test_a_sweep_on_ray_names_the_extra_if_ray_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # its import then fails
    with pytest.raises(ConfigError, match=r"hydra/launcher=ray: ray .*\n.*\[ray\]'"):
        RayLauncher().setup(hydra_context=None, task_function=None, config=None)


@pytest.mark.slow
def test_a_sweep_on_ray_repeats_jobs_that_failed_or_crashed(place: Place) -> None:
    pytest.importorskip("ray")
    words = ("sweep.name=ray", "hydra/launcher=ray", *FAULT, "+callbacks.fault.kind=none,raise,kill")
    output, _ = place.sweep(*words, code=1, slots=None)
    assert place.statuses("ray", 3) == ["completed", "failed", "failed"]
    assert "1 failed: RuntimeError: the cable is loose: #1" in output
    assert "1 failed: killed by SIGKILL, as the system does when memory runs out: #2" in output
    (place.folder / "cured").touch()
    output, _ = place.sweep(*words, slots=None)
    assert "3 jobs, 2 to do" in output
    assert place.statuses("ray", 3) == ["completed"] * 3
    assert sorted(place.attempts("ray")) == [
        (0, "completed"),
        *((job, end) for job in (1, 2) for end in ("completed", "failed")),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra.launcher.address=127.0.0.1:1", "hydra.launcher.address=127.0.0.1:1: Ray does not respond"),
        ("hydra.launcher.cpus=-1", "hydra.launcher={'cpus': -1, 'gpus': 0.0}: "),
    ],
)
def test_ray_rejects_a_wrong_option_before_the_first_job(place: Place, word: str, message: str) -> None:
    pytest.importorskip("ray")
    _, errors = place.sweep("sweep.name=ray", "hydra/launcher=ray", word, code=1, slots=None)
    assert errors.startswith(message)
    assert len(errors.splitlines()) <= 3
    assert not place.of("ray").exists()
