"""When a process of a run dies, stops or is slow, all processes end, and the run reports the reason."""

import contextlib
import errno
import json
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.run.distributed import ranks
from tests.run.distributed.ranks import DDP, DDP_CPU, MODULE, Die, End, ValidationImage, end, run_with_death, start
from tests.run.interrupted_runs import curves
from tests.sweeps.sweeping import living, until
from trainyard.io.resources import is_disk_full
from trainyard.run.distributed.launch import failure_report

REASONS = {
    "kill": "was killed by SIGKILL",
    "hard": "ended with exit code 7",
    "leave": "ended with exit code 0",
    "raise": "failed: RuntimeError: the cable is loose",
    "exit": "failed: SystemExit: 3",
}


def check(end: End, text: str) -> None:
    assert end.code == 1, end.screen
    assert end.result["status"] == "failed"
    assert end.result["error"].startswith(text), end.result["error"]
    assert len([line for line in end.screen.splitlines() if line.startswith(text)]) == 1, end.screen
    assert "Traceback" not in end.screen
    assert text in end.log
    assert end.left == []


def test_a_full_disk_in_a_process_interrupts_the_run() -> None:
    try:
        raise RuntimeError("the checkpoint cannot be written") from OSError(errno.ENOSPC, "no space left")
    except RuntimeError as error:
        report = pickle.loads(pickle.dumps(failure_report(1, error)))
    assert is_disk_full(report.error)
    assert str(report.error).endswith("rank 1 failed: the checkpoint cannot be written")


def test_reason_of_a_killed_rank(tmp_path: Path) -> None:
    check(run_with_death(tmp_path, "kill", *DDP_CPU), "ProcessDied: rank 1 was killed by SIGKILL")


DEATHS = [
    *((DDP_CPU, "hard", 1, "train"), (DDP_CPU, "raise", 1, "train"), (DDP_CPU, "exit", 1, "validation")),
    *((DDP_CPU, "leave", 1, "train"), (DDP_CPU, "kill", 0, "validation"), (DDP_CPU, "raise", 0, "train")),
    *((DDP_CPU, "leave", 0, "train"), (DDP, "kill", 1, "train"), (DDP, "raise", 0, "train"), (DDP, "kill", 0, "train")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "how", "rank", "stage"), DEATHS)
def test_reason_of_each_death(tmp_path: Path, words: tuple[str, ...], how: str, rank: int, stage: str) -> None:
    check(run_with_death(tmp_path, how, *words, rank=rank, stage=stage), f"ProcessDied: rank {rank} {REASONS[how]}")


@pytest.mark.slow
def test_hanging_rank_is_killed(tmp_path: Path) -> None:
    check(
        run_with_death(tmp_path, "kill", *DDP_CPU, "+callbacks.die.other=sleep"),
        "ProcessDied: rank 1 was killed by SIGKILL",
    )


LONG = ("hydra.run.dir=run", "trainer.max_epochs=1000000")


def image_steps(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    return [event.step for event in events.Images("image")]


@pytest.mark.slow
@pytest.mark.parametrize("words", [DDP_CPU, DDP], ids=["ddp_cpu", "ddp"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_signal_to_the_parent_ends_all_ranks(tmp_path: Path, words: tuple[str, ...], number: int) -> None:
    process = start(tmp_path, *words, *LONG)
    log = tmp_path / "run" / "run.log"
    until(lambda: log.is_file() and "epoch 2/" in log.read_text())
    os.kill(process.pid, number)
    if number == signal.SIGKILL:
        process.communicate(timeout=300)
        until(lambda: not living(process.pid))
        return
    done = end(process, tmp_path)
    assert done.left == []
    assert done.code == 128 + number, done.screen
    assert done.result["status"] == "interrupted", done.screen
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_signal_to_one_rank_saves_and_ends_all(tmp_path: Path, rank: int) -> None:
    done = run_with_death(tmp_path, "terminate", *DDP_CPU, rank=rank)
    assert done.code == 143, done.screen
    assert done.result["status"] == "interrupted"
    assert done.left == []
    assert done.screen.count("SIGTERM") == (rank == 0), "the first process alone writes to the screen"
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 2, "after that step"
    assert last["epoch"] == 1


@pytest.mark.slow
def test_run_killed_twice_logs_each_step_once(tmp_path: Path) -> None:
    image = f"+callbacks.image._target_={ValidationImage.__module__}.ValidationImage"
    pause = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
    words = (*DDP_CPU, pause, image)
    for name, rank in (("whole", -1), ("parts", 0)):
        run_with_death(tmp_path, "kill", *words, rank=rank, run=name)
    for rank in (1, -1):
        more = (f"callbacks.die.rank={rank}", "+callbacks.die.epoch=2", "--trusted-packages", "tests")
        done = end(start(tmp_path, "resume=parts", *more, words=()), tmp_path, "parts")
    assert done.result["status"] == "completed", done.screen
    assert done.log.count("resuming from") == 2
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()
    assert len(curves(whole)["val/loss"]) == 3
    assert curves(parts) == curves(whole)
    steps = [point for point, _ in curves(whole)["val/loss"]]
    assert [image_steps(folder) for folder in (whole, parts)] == [steps, steps]


@pytest.mark.slow
@pytest.mark.parametrize("words", [DDP_CPU, DDP], ids=["ddp_cpu", "ddp"])
def test_sweep_continues_when_a_rank_of_a_job_dies(tmp_path: Path, words: tuple[str, ...]) -> None:
    dying = (f"+callbacks.die._target_={Die.__module__}.Die", "+callbacks.die.how=kill,none")
    process = start(tmp_path, *dying, *words, "sweep.name=ranks", "hydra.launcher.slots=1", command=(*MODULE, "-m"))
    screen, _ = process.communicate(timeout=600)
    assert process.returncode == 1, screen
    assert "rank 1 was killed by SIGKILL" in screen
    home = tmp_path / "outputs" / "sweeps" / "ranks"
    ends = [json.loads((home / str(number) / "result.json").read_text()) for number in (0, 1)]
    assert [found["status"] for found in ends] == ["failed", "completed"]
    assert ends[0]["error"].startswith("ProcessDied: rank 1 was killed by SIGKILL")
    until(lambda: not living(process.pid))  # the servers that start processes end after the command


RUNS, EPOCHS = 20, 200
SAVE_AT_ONCE = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
FEW = (
    *(f"trainer.max_epochs={EPOCHS}", "+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1"),
    *("+trainer.limit_test_batches=1", "logger=csv", f"+callbacks.delay._target_={ranks.__name__}.Delay"),
)
PLANS = [  # each depends on a clock, or on the state of one process
    (),
    (SAVE_AT_ONCE,),
    ("checkpoint.every_minutes=0.0002", SAVE_AT_ONCE),
    ("+trainer.val_check_interval='00:00:00:01'", "+trainer.check_val_every_n_epoch=null"),
    ("ema_decay=0.9",),
]
HOOKS = ("validation_start", "validation_end", "train_batch_start", "train_batch_end")


@pytest.mark.parametrize(
    "hook", ["on_train_epoch_end", *(pytest.param(f"on_{name}", marks=pytest.mark.slow) for name in HOOKS)]
)
def test_stop_of_one_process_stops_all(tmp_path: Path, hook: str) -> None:
    words = (
        f"+callbacks.stop._target_={ranks.__name__}.StopOnOne",
        f"+callbacks.stop.hook={hook}",
        "hydra.run.dir=run",
    )
    done = end(start(tmp_path, *DDP_CPU, *words, "trainer.max_epochs=50"), tmp_path)
    assert done.code == 0, done.screen
    assert done.result["epochs"] == 2


@pytest.mark.slow
def test_delays_of_one_process_cause_no_deadlock(tmp_path: Path) -> None:
    for number in range(RUNS):
        delay = (f"+callbacks.delay.rank={number % 2}", f"+callbacks.delay.seed={number}")
        process = start(tmp_path, *DDP_CPU, *FEW, *PLANS[number % len(PLANS)], *delay, f"hydra.run.dir={number}")
        try:
            screen, _ = process.communicate(timeout=600)  # a run takes less than a minute unless it hangs
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, f"run {number}\n{screen}"
        last = torch.load(tmp_path / str(number) / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["epoch"] == EPOCHS - 1
        assert last["global_step"] == 2 * EPOCHS
