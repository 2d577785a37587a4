"""A signal to the process that started the others ends them all; in a sweep, the death of one ends its job alone."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.distributed.ranks import DDP, DDP_CPU, MODULE, Die, ValidationImage, death, end, start
from tests.sweeps.sweeping import living, until
from tests.test_going_on import curves

LONG = ("hydra.run.dir=run", "trainer.max_epochs=1000000")


def image_steps(folder: Path) -> list[int]:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    return [event.step for event in events.Images("image")]


@pytest.mark.slow
@pytest.mark.parametrize("words", [DDP_CPU, DDP], ids=["ddp_cpu", "ddp"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_parent_ends_all(tmp_path: Path, words: tuple[str, ...], number: int) -> None:
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
def test_a_signal_to_one_rank_ends_all_and_saves(tmp_path: Path, rank: int) -> None:
    done = death(tmp_path, "terminate", *DDP_CPU, rank=rank)
    assert done.code == 143, done.screen
    assert done.result["status"] == "interrupted"
    assert done.left == []
    assert done.screen.count("SIGTERM") == (rank == 0), "the first process alone writes to the screen"
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"] == 2, "after that step"
    assert last["epoch"] == 1


@pytest.mark.slow
def test_a_run_that_was_killed_twice_resumes_with_each_point_once(tmp_path: Path) -> None:
    image = f"+callbacks.image._target_={ValidationImage.__module__}.ValidationImage"
    pause = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
    words = (*DDP_CPU, pause, image)
    for name, rank in (("whole", -1), ("parts", 0)):
        death(tmp_path, "kill", *words, rank=rank, run=name)
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
def test_a_sweep_goes_on_when_a_rank_of_a_job_dies(tmp_path: Path, words: tuple[str, ...]) -> None:
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
