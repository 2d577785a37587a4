"""The processes of jobs: their share of the machine, their exit codes, and their end."""

import os
import signal
from pathlib import Path

import pytest

from tests.sweeps.sweeping import FAULT, Place, living, until
from trainyard.sweeps.execution.processes import devices_of_slot, exit_reason

RECORD = ("+callbacks.record._target_=tests.sweeps.faults.RecordProcess",)


def records(place: Place, name: str, jobs: int) -> list[dict[str, str]]:
    """Return the record of each job's process."""
    recorded = [(place.of(name) / str(number) / "process.txt").read_text() for number in range(jobs)]
    return [dict(line.split("=", 1) for line in text.splitlines()) for text in recorded]


def test_jobs_share_cores_and_gpus(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    place.sweep("sweep.name=two", *RECORD, "accelerator=cpu", *FAULT, "+callbacks.fault.together=2", "seed=0,1,2,3")
    recorded = records(place, "two", 4)
    assert len({record["pid"] for record in recorded}) == 4
    assert {record["cores"] for record in recorded} == {str(max(1, cores // 2))}
    assert {record["threads"] for record in recorded} == {"1"}, "a step is small"
    assert {record["imported"] for record in recorded} == {"True"}, "imported by the server; an mlp does not need timm"
    assert sorted(record["devices"] for record in recorded) == ["4", "4", "7", "7"]
    times = [(float(record["started"]), float(record["ended"])) for record in recorded]
    assert max(sum(began <= moment < ended for began, ended in times) for moment, _ in times) == 2
    for one, record in zip(times, recorded, strict=True):
        together = [
            other for other, there in zip(times, recorded, strict=True) if there["devices"] == record["devices"]
        ]
        assert sum(began <= one[0] < ended for began, ended in together) == 1, "no two at a time on a GPU"


@pytest.mark.parametrize("limit", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_a_single_slot_has_all_cores_and_gpus(place: Place, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("OMP_NUM_THREADS", limit or "64")
    place.sweep("sweep.name=one", *RECORD, "accelerator=cpu", "seed=0,1", slots=1)
    one = records(place, "one", 2)
    assert {record["threads"] for record in one} == {limit or str(len(os.sched_getaffinity(0)))}
    assert float(one[0]["ended"]) < float(one[1]["started"])
    assert [record["devices"] for record in one] == ["4,7", "4,7"]


@pytest.mark.skipif("not __import__('pathlib').Path('/proc/self/stat').exists()", reason="needs /proc")
@pytest.mark.parametrize("which", ["the parent alone", pytest.param("its whole group", marks=pytest.mark.slow)])
def test_all_processes_end_when_the_parent_is_killed(place: Place, which: str) -> None:
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


@pytest.mark.skipif("not __import__('pathlib').Path('/proc/self/stat').exists()", reason="needs /proc")
def test_processes_that_a_job_started_end_with_it(place: Place) -> None:
    process = place.start("sweep.name=child", *FAULT, "+callbacks.fault.kind=child")
    process.communicate(timeout=300)
    assert place.statuses("child", 1) == ["completed"]
    until(lambda: not living(process.pid))


# Exit code of a job's process, and a part of the error.
CODES = [
    *[(0, ""), (130, ""), (143, ""), (129, "")],
    *[(3, "its process ended with code 3"), (-15, "killed by SIGTERM"), (None, "ended with")],
]


@pytest.mark.parametrize(("code", "message"), CODES)
def test_exit_codes_of_interrupted_jobs_are_not_failures(code: int | None, message: str) -> None:
    assert (message in exit_reason(code)) if message else exit_reason(code) == ""


# CUDA_VISIBLE_DEVICES, slots, and the devices of each slot.
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


@pytest.mark.parametrize(("visible", "slots", "devices"), TABLE)
def test_gpus_are_divided_among_slots(
    monkeypatch: pytest.MonkeyPatch, visible: str, slots: int, devices: list[str | None]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [devices_of_slot(slot, slots) for slot in range(slots)] == devices


def test_gpus_are_counted_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [Path("/dev") / name for name in ("nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm")]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(names if str(self) == "/dev" else []))
    assert [devices_of_slot(slot, 2) for slot in (0, 1)] == ["2", "10"]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([]))
    assert devices_of_slot(0, 2) is None
