"""A full disk: the earlier checkpoint is kept, the error states the free space, and the run can be resumed."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from tests.run.interrupted_runs import COMMON, Stop, checkpoint, run, tensors
from tests.sweeps.sweeping import REPOSITORY, Place, scores
from trainyard.callbacks.checkpoint_files import PacedCheckpointIO, is_intact, write_checkpoint
from trainyard.history.stored_config import resume
from trainyard.io.errors import ConfigError
from trainyard.io.files import relative
from trainyard.io.resources import is_disk_full
from trainyard.run.training import train
from trainyard.terminal.invocation import train_command

SIZE = 8  # MiB
PLAN = ["model=mlp", "model.hidden_dims=[400]", "logger=csv"]  # 0.4 MiB a checkpoint


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk except for `leave` bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(0, free - leave)))
    return ballast


def test_full_disk_keeps_the_old_file_and_names_the_remedy(small_disk: Path) -> None:
    path = small_disk / "last.ckpt"
    write_checkpoint({"weights": torch.zeros(500_000)}, path)
    fill(small_disk, 1_000_000)
    with pytest.raises(OSError, match=r"last\.ckpt cannot be written: the disk is full \(0\.\d MiB free\)") as full:
        write_checkpoint({"weights": torch.ones(500_000)}, path)
    assert full.value.errno == errno.ENOSPC
    assert is_intact(path)
    assert torch.load(path, weights_only=True)["weights"].sum() == 0
    assert {file.name for file in small_disk.iterdir()} == {"last.ckpt", "ballast"}


def test_failed_write_is_retried(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer, path = PacedCheckpointIO(pause=1e-9), small_disk / "last.ckpt"
    ballast = fill(small_disk, 1_000_000)
    writer.write_seconds = 0.0
    writer.save_checkpoint({"weights": torch.ones(500_000)}, path)
    writer.wait()
    assert "the disk is full" in caplog.text
    assert not path.exists()
    ballast.unlink()
    writer.write_seconds = 0.0
    writer.save_checkpoint({"weights": torch.ones(3)}, small_disk / "best.ckpt")
    writer.teardown()
    assert is_intact(path)
    assert is_intact(small_disk / "best.ckpt")


def test_run_resumes_after_a_full_disk(small_disk: Path, tmp_path: Path, compose_run: Compose) -> None:
    run(compose_run, *PLAN, folder="whole")
    run(compose_run, *PLAN, folder="disk/run", stop=("train", 1, 2))
    ballast = fill(small_disk, 100_000)
    Stop.at = None
    cfg = compose_run(*COMMON, *PLAN, folder="disk/run")
    with pytest.raises(OSError, match="cannot be written: the disk is full") as full:
        train(cfg)
    assert full.value.errno == errno.ENOSPC
    folder = small_disk / "run"
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "interrupted"
    assert "the disk is full" in result["error"]
    assert is_intact(folder / "checkpoints" / "last.ckpt")
    assert checkpoint(folder, "last.ckpt")["global_step"] == 8
    ballast.unlink()
    run(compose_run, *PLAN, folder="disk/run")
    mine, theirs = (tensors(checkpoint(path, "best.ckpt")) for path in (tmp_path / "whole", folder))
    assert all(torch.equal(tensor, theirs[place]) for place, tensor in mine.items())


@pytest.mark.parametrize("left", [0, 40, 500])  # KiB: no directory, no checkpoint, only best.ckpt
def test_run_without_checkpoint_restarts_after_a_full_disk(
    small_disk: Path, tmp_path: Path, compose_run: Compose, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    run(compose_run, *PLAN, folder="whole")
    ballast = fill(small_disk, left * 1024)
    Stop.at = None
    folder = small_disk / "run"
    with pytest.raises((OSError, ConfigError)) as full:
        train(compose_run(*COMMON, *PLAN, folder="disk/run"))
    assert is_disk_full(full.value), full.value
    assert not (folder / "checkpoints" / "last.ckpt").exists()
    ballast.unlink()
    if isinstance(full.value, ConfigError):
        assert "the disk is full" in str(full.value)
        assert not folder.exists()
        run(compose_run, *PLAN, folder="disk/run")
    else:
        command = train_command(f"resume={relative(folder)}")
        assert f"free some space, then resume with: {command}" in caplog.text
        assert (folder / "checkpoints" / "best.ckpt").exists() == (left == 500)
        resume([f"resume={folder}", "--trusted-packages", "tests"])
    assert scores(folder) == scores(tmp_path / "whole")
    assert (folder / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()


def test_hydra_error_on_a_full_disk_names_folder_and_remedy(small_disk: Path) -> None:
    fill(small_disk, 0)
    command = [sys.executable, "-m", "trainyard", *PLAN, "trainer.max_epochs=1", "hydra.output_subdir=.hydra"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=small_disk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{small_disk} cannot be written: the disk is full (0.0 MiB free)",
        "  accepted: the same command after freeing disk space",
    ]


@pytest.mark.parametrize("left", [16, 100, 500])
def test_sweep_resumes_after_a_full_disk_without_using_retries(small_disk: Path, left: int) -> None:
    place, words = Place(small_disk), ["sweep.name=full", "seed=0,1", "model.hidden_dims=[400]", "sweep.retries=0"]
    ballast = fill(small_disk, left * 1024)
    said, errors = place.sweep(*words, slots=1, code=1)
    assert "the disk is full (0." in said + errors
    assert "Traceback" not in errors
    assert set(place.statuses("full", 2)) <= {"waiting", "interrupted"}
    ballast.unlink()
    said, errors = place.sweep(*words, slots=1)
    assert place.statuses("full", 2) == ["completed", "completed"], said
    assert "failed" not in {end for _, end in place.attempts("full")}
