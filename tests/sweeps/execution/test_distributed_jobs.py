"""Jobs of a sweep that are trained by several processes."""

import os
from pathlib import Path

import pytest

from tests.sweeps.sweeping import Place, living, until

LOOK = "+callbacks.look._target_=tests.sweeps.faults.Look"
DDP = ("accelerator=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.devices=2")


DDP_CPU = pytest.param(("accelerator=ddp_cpu",), id="ddp_cpu", marks=pytest.mark.slow)


@pytest.mark.parametrize("words", [DDP_CPU, pytest.param(DDP, id="ddp", marks=pytest.mark.slow)])
def test_jobs_of_two_processes_make_no_sweep_of_their_own(place: Place, words: tuple[str, ...]) -> None:
    process = place.start("sweep.name=ranks", *words, LOOK, "seed=0,1", slots=1)
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, said + errors
    if Path("/proc").exists():
        until(lambda: not living(process.pid))
    assert place.statuses("ranks", 3) == ["completed", "completed", "waiting"]
    assert sorted(place.attempts("ranks")) == [(0, "completed"), (1, "completed")]
    assert sorted(path.name for path in (place.folder / "outputs").iterdir()) == ["latest", "sweeps"]
    assert [path.name for path in (place.folder / "outputs" / "sweeps").iterdir()] == ["ranks"]
    for number in (0, 1):
        log = (place.of("ranks") / str(number) / "run.log").read_text()
        assert "1 epoch on cpu x 2" in log
        assert log.count("epoch 1/1") == 1, "the second rank says nothing of its own"
        share = max(1, len(os.sched_getaffinity(0)) // 2)
        assert f"threads={share}\n" in (place.of("ranks") / str(number) / "look.txt").read_text()
