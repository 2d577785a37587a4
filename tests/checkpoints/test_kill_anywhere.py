"""A training that is killed at any moment, also while it writes a checkpoint, comes to the end it would have had."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.test_going_on import checkpoint, curves, tensors
from trainyard.checkpoints.files import DAMAGED
from trainyard.config import compose
from trainyard.training import train

WRITER = "+trainer.plugins=[{_target_:trainyard.checkpoints.paced_io.PacedCheckpointIO,pause:0.0}]"
WORDS = [
    *("model=mlp", "model.dropout=0.2", "model.hidden_dims=[32]", "data.batch_size=64", "accelerator=cpu"),
    *("trainer.max_epochs=3", "callbacks=none", "checkpoint.every_steps=1", "trainer.log_every_n_steps=1", WRITER),
    "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor",
]


def run(folder: Path) -> None:
    os.setpgrp()
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    train(compose([f"hydra.run.dir={folder}", *WORDS]))


def start(folder: Path) -> Any:
    process = multiprocessing.get_context("fork").Process(target=run, args=(folder,))
    process.start()
    return process


def killed(folder: Path, moment: float) -> bool:
    """Train for so many seconds; return whether it was killed, and not done before."""
    process = start(folder)
    process.join(moment)
    alive = process.is_alive()
    if alive:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def same(whole: Path, folder: Path) -> None:
    """See that two runs came to the same end."""
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (tensors(checkpoint(path, name)) for path in (whole, folder))
        assert one.keys() == other.keys()
        assert [place for place, tensor in one.items() if not tensor.equal(other[place])] == []
    assert (whole / "metrics.csv").read_text() == (folder / "metrics.csv").read_text()
    results = [json.loads((path / "result.json").read_text()) for path in (whole, folder)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert curves(whole) == curves(folder)


def kill_often(tmp_path: Path, kills: int) -> None:
    whole = tmp_path / "whole"
    began = time.monotonic()
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    length, chance, done, left = time.monotonic() - began, random.Random(0), 0, kills
    steps: set[int] = set()
    while left > 0 or len(steps) < max(1, kills // 5):  # until enough of them came in the middle
        assert done < 10 * kills, "none was resumed from the middle"
        folder = tmp_path / f"run{done}"
        for _ in range(min(max(1, left), 10)):
            if not killed(folder, chance.uniform(0.1, 0.9) * length):
                break
            left -= 1
        assert not killed(folder, 600.0)
        same(whole, folder)
        log = (folder / "run.log").read_text()
        steps |= {int(line.rpartition(" ")[2]) for line in log.splitlines() if "going on from" in line}
        assert not (folder / "checkpoints" / DAMAGED).exists(), "no kill left half a file under a good name"
        done += 1
    print(f"{kills} kills in {done} runs, gone on after {len(steps)} different steps of {3 * 20}")


def test_a_few_kills_change_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, 3)


@pytest.mark.slow
def test_fifty_kills_change_nothing(tmp_path: Path) -> None:
    kill_often(tmp_path, 50)
