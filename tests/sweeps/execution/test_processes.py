"""The processes of jobs: side by side, with their share of the machine, and none left behind."""

import os
import signal
from pathlib import Path

import pytest

from tests.sweeps.sweeping import FAULT, Place, living, until
from trainyard.sweeps.execution.processes import devices_of_slot, exit_reason

LOOK = ("+callbacks.look._target_=tests.sweeps.faults.Look",)


def looks(place: Place, name: str, jobs: int) -> list[dict[str, str]]:
    """What each job has seen around itself."""
    found = [(place.of(name) / str(number) / "look.txt").read_text() for number in range(jobs)]
    return [dict(line.split("=", 1) for line in text.splitlines()) for text in found]


def test_jobs_share_the_machine_each_in_a_process_of_its_own(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    place.sweep("sweep.name=two", *LOOK, "accelerator=cpu", *FAULT, "+callbacks.fault.together=2", "seed=0,1,2,3")
    found = looks(place, "two", 4)
    assert len({look["pid"] for look in found}) == 4
    assert {look["threads"] for look in found} == {str(max(1, cores // 2))}
    assert {look["imported"] for look in found} == {"True"}, "by the server; an mlp alone needs no timm"
    assert sorted(look["devices"] for look in found) == ["4", "4", "7", "7"]
    times = [(float(look["began"]), float(look["ended"])) for look in found]
    assert max(sum(began <= moment < ended for began, ended in times) for moment, _ in times) == 2
    for one, look in zip(times, found, strict=True):
        together = [other for other, there in zip(times, found, strict=True) if there["devices"] == look["devices"]]
        assert sum(began <= one[0] < ended for began, ended in together) == 1, "no two at a time on a GPU"


@pytest.mark.parametrize("wanted", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_one_at_a_time_has_the_whole_machine(place: Place, monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("OMP_NUM_THREADS", wanted or "64")
    place.sweep("sweep.name=one", *LOOK, "accelerator=cpu", "seed=0,1", slots=1)
    one = looks(place, "one", 2)
    assert {look["threads"] for look in one} == {wanted or str(len(os.sched_getaffinity(0)))}
    assert float(one[0]["ended"]) < float(one[1]["began"])
    assert [look["devices"] for look in one] == ["4,7", "4,7"]


@pytest.mark.skipif("not __import__('pathlib').Path('/proc/self/stat').exists()", reason="there is no /proc here")
@pytest.mark.parametrize("which", ["the parent alone", pytest.param("its whole group", marks=pytest.mark.slow)])
def test_nothing_is_left_running_when_the_parent_dies(place: Place, which: str) -> None:
    process = place.start("sweep.name=dies", *FAULT, "+callbacks.fault.pause=3600", "seed=0,1,2")
    logs = [place.of("dies") / str(number) / "run.log" for number in (0, 1)]
    until(lambda: all(log.is_file() and "trainer" in log.read_text() for log in logs))
    assert len(living(process.pid)) >= 4, "parent, server and two jobs"
    if which == "the parent alone":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=300)
    until(lambda: not living(process.pid))
    process.communicate()


@pytest.mark.skipif("not __import__('pathlib').Path('/proc/self/stat').exists()", reason="there is no /proc here")
def test_what_a_job_started_ends_with_it(place: Place) -> None:
    process = place.start("sweep.name=child", *FAULT, "+callbacks.fault.kind=child")
    process.communicate(timeout=300)
    assert place.statuses("child", 1) == ["completed"]
    until(lambda: not living(process.pid))


# The exit code of a job's process, and what is said of it.
CODES = [
    *[(0, ""), (130, ""), (143, ""), (129, "")],
    *[(3, "its process ended with code 3"), (-15, "killed by SIGTERM"), (None, "ended with")],
]


@pytest.mark.parametrize(("code", "said"), CODES)
def test_a_process_that_was_asked_to_stop_and_has_saved_is_no_failure(code: int | None, said: str) -> None:
    assert (said in exit_reason(code)) if said else exit_reason(code) == ""


# What is visible, slots, and what each slot sees.
TABLE = [
    ("0,1,2,3", 1, [None]),
    ("0,1,2,3", 2, ["0,2", "1,3"]),
    ("0,1,2,3", 4, ["0", "1", "2", "3"]),
    ("0,1,2", 2, ["0,2", "1"]),
    ("0,1", 4, ["0", "1", "0", "1"]),
    ("5", 2, ["5", "5"]),
    ("GPU-a,GPU-b", 2, ["GPU-a", "GPU-b"]),
    ("", 2, [None, None]),
]


@pytest.mark.parametrize(("visible", "slots", "seen"), TABLE)
def test_each_slot_sees_its_gpus(
    monkeypatch: pytest.MonkeyPatch, visible: str, slots: int, seen: list[str | None]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [devices_of_slot(slot, slots) for slot in range(slots)] == seen


def test_gpus_are_counted_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [Path("/dev") / name for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm")]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(names if str(self) == "/dev" else []))
    assert [devices_of_slot(slot, 2) for slot in (0, 1)] == ["2", "10"]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([]))
    assert devices_of_slot(0, 2) is None
