"""A sweep of two hundred jobs, of which many fail at random, killed once: `make soak`."""

import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.sweeps.faults import KINDS
from tests.sweeps.sweeping import EAGER, Place, kill, living, until

JOBS = int(os.environ.get("TRAINYARD_SOAK_JOBS", "200"))
WORDS = ("sweep.name=soak", f"seed=range({JOBS})", *EAGER, "trainer.max_epochs=2", "sweep.retries=0")
WATCHED = ("+callbacks.finite_loss._target_=trainyard.callbacks.finite_loss.FiniteLoss",)
SOAK = ("+callbacks.soak._target_=tests.sweeps.test_soak.Soak", "+callbacks.soak.seed=${seed}")
FAILS = {"raise", "hard_exit", "memory", "kill", "nan", "leave"}
WARM = 20  # jobs after which memory is measured first


def fault_of(seed: int) -> tuple[str, int]:
    """Return the fault of a job and its epoch; half of the jobs have none."""
    chance = random.Random(seed)
    kinds = ["raise", "hard_exit", "memory", "kill", "child", "nan"]
    return (chance.choice(kinds) if chance.random() < 0.5 else "none"), chance.choice((1, 2))


class Soak:
    """Returns a callback with the fault of a seed."""

    def __new__(cls, seed: int):  # Lightning is only imported in jobs
        import torch

        from tests.sweeps.faults import Fault

        kind, epoch = fault_of(seed)

        class Poisoned(Fault):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
                if kind == "nan" and trainer.current_epoch + 1 == epoch:
                    with torch.no_grad():
                        next(pl_module.parameters()).fill_(float("nan"))

        return Poisoned("none" if kind == "nan" else kind, epoch, unless="/nowhere")


def memory_of(pid: int) -> int:
    """Return the memory of a process in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def watch(place: Place, process: subprocess.Popen[str], until_done: int) -> list[tuple[int, int, int]]:
    """Return finished jobs, memory in KiB and open files, each second until `until_done` jobs have ended."""
    seen: list[tuple[int, int, int]] = []
    while process.poll() is None:
        done = sum(status in ("completed", "failed") for status in place.statuses("soak", JOBS))
        if done >= until_done:
            break
        try:
            seen.append((done, memory_of(process.pid), len(list(Path(f"/proc/{process.pid}/fd").iterdir()))))
        except (OSError, StopIteration):
            break
        time.sleep(1.0)
    return seen


@pytest.mark.soak
def test_a_sweep_survives_all_faults_of_its_jobs(place: Place) -> None:
    assert {kind for kind, _ in map(fault_of, range(JOBS))} <= {*KINDS, "nan"}
    first = place.start(*WORDS, *WATCHED, *SOAK)
    watch(place, first, JOBS * 2 // 5)
    assert first.poll() is None, first.communicate()
    kill(first)
    until(lambda: not living(first.pid), 10.0)
    done_before = place.attempts("soak")
    log = place.folder / "second.log"
    with log.open("w") as file:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        second = subprocess.Popen(
            [*first.args], cwd=place.folder, env=environment, stdout=file, stderr=file, start_new_session=True
        )  # type: ignore[misc]
        seen = watch(place, second, JOBS + 1)
        assert second.wait(60) == 1, log.read_text()[-2000:]
    until(lambda: not living(second.pid), 10.0)  # helper processes of multiprocessing end a moment later
    expected = {seed: "failed" if fault_of(seed)[0] in FAILS else "completed" for seed in range(JOBS)}
    assert dict(enumerate(place.statuses("soak", JOBS))) == expected
    journal = dict(place.attempts("soak"))  # the last attempt at each job
    assert journal == expected, "the journal has every result"
    begun = min(done for done, *_ in seen)
    warm = [row for row in seen if row[0] >= begun + WARM]
    growth, files = warm[-1][1] / warm[0][1] - 1, (warm[0][2], max(row[2] for row in warm))
    again = len(place.attempts("soak")) - JOBS
    print(
        f"{JOBS} jobs, {Counter(fault_of(seed)[0] for seed in range(JOBS))}; killed after {len(done_before)} attempts, "
        f"{again} jobs begun twice; memory {warm[0][1] / 1024:.1f} -> {warm[-1][1] / 1024:.1f} MiB ({growth:+.1%}), "
        f"open files {files[0]}, at most {files[1]}; no process left"
    )
    assert growth <= 0.05
    assert files[1] <= files[0] + 8
    assert again <= 2 + 2, "only jobs that ran when the sweep was killed start twice"
