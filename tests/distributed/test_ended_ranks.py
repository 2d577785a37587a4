"""A signal to the process that started the others ends them all; in a sweep, the death of one ends its job alone."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.distributed.ranks import MODULE, RERUN, SPAWNED, Die, end, start
from tests.sweeps.sweeping import living, until

LONG = ("hydra.run.dir=run", "trainer.max_epochs=1000000")


@pytest.mark.slow
@pytest.mark.parametrize("words", [SPAWNED, RERUN], ids=["spawned", "rerun"])
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
@pytest.mark.parametrize("words", [SPAWNED, RERUN], ids=["spawned", "rerun"])
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
