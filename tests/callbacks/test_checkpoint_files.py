"""Damaged checkpoints are detected, and a run resumes from the previous one."""

import random
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from tests.run.interrupted_runs import COMMON, checkpoint, run, tensors
from trainyard.callbacks.checkpoint_files import is_intact, newest_intact, write_checkpoint
from trainyard.run.training import train


def small(value: float) -> dict[str, torch.Tensor]:
    return {"weights": torch.full((50,), float(value))}


def test_previous_checkpoint_is_kept(tmp_path: Path) -> None:
    for value in range(3):
        write_checkpoint(small(value), tmp_path / "last.ckpt")
        write_checkpoint(small(value), tmp_path / "best.ckpt")
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    values = [torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["weights"][0] for name in ("previous", "last")]
    assert values == [1, 2]
    assert all(is_intact(path) for path in tmp_path.iterdir())


def test_every_flipped_bit_is_detected_or_changes_no_value(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint = {**small(1), "epoch": 3, "states": [{"step": torch.tensor(7)}]}
    write_checkpoint(checkpoint, path)
    whole = path.read_bytes()
    detected = 0
    chance = random.Random(0)
    directory = whole.index(b"PK\1\2")
    places = [*chance.sample(range(directory), 500), *range(directory, len(whole))]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        if not is_intact(path):
            detected += 1
            continue
        loaded = torch.load(path, weights_only=True)
        same = torch.equal(loaded["weights"], checkpoint["weights"]) and loaded["states"] == checkpoint["states"]
        assert same, f"a bit of byte {place} of {len(whole)}"
        assert loaded["epoch"] == 3
    assert detected > len(places) / 3


def test_every_flipped_bit_of_a_tensor_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(small(1), path)
    whole = path.read_bytes()
    start = whole.index(bytes([0, 0, 128, 63]) * 50)
    for bit in range(8 * 200):
        damaged = bytearray(whole)
        damaged[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert not is_intact(path), f"bit {bit}"


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(small(1), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert not is_intact(path), f"{length} of {len(whole)} bytes"
    path.write_bytes(whole)
    assert is_intact(path)


def test_an_entry_that_is_marked_as_a_folder_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(small(1), path)
    content = bytearray(path.read_bytes())
    place = -1
    while (place := content.find(b"PK\1\2", place + 1)) >= 0:
        damaged = bytearray(content)
        damaged[place + 38] ^= 0x10  # torch would read the entry as empty
        path.write_bytes(damaged)
        assert not is_intact(path)


def test_missing_and_invalid_files_are_not_intact(tmp_path: Path) -> None:
    assert newest_intact(tmp_path) is None
    path = tmp_path / "last.ckpt"
    path.mkdir()
    assert not is_intact(path)
    path.rmdir()
    path.write_bytes(b"rubbish" * 100)
    assert not is_intact(path)


def test_file_written_by_torch_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(small(1), path)
    assert is_intact(path)
    content = bytearray(path.read_bytes())
    content[content.index(bytes([0, 0, 128, 63]))] ^= 1  # of the first 1.0
    path.write_bytes(content)
    assert not is_intact(path)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "gone"])
def test_damaged_checkpoint_is_replaced_by_the_previous_one(compose_run: Compose, tmp_path: Path, damage: str) -> None:
    plan = [
        "model=mlp",
        "model.dropout=0.1",
        "checkpoint.every_steps=2",
        "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]",
    ]
    run(compose_run, *plan, folder="whole")
    run(compose_run, *plan, folder="run", stop=("train", 2, 1))
    folder = tmp_path / "run" / "checkpoints"
    last = folder / "last.ckpt"
    if damage == "gone":  # after a kill between the two renames
        last.unlink()
    else:
        content = bytearray(last.read_bytes())
        content[len(content) // 2] ^= 4
        last.write_bytes({"flip": content, "truncate": content[:-100], "empty": b""}[damage])
    before = torch.load(folder / "previous.ckpt", weights_only=True)["global_step"]
    assert 0 < before < 12
    run(compose_run, *plan, folder="run")
    log = (tmp_path / "run" / "run.log").read_text()
    assert f"previous.ckpt, after step {before}" in log
    assert ("is damaged" in log) == (damage != "gone")
    mine, theirs = (tensors(checkpoint(tmp_path / name, "last.ckpt")) for name in ("whole", "run"))
    assert all(torch.equal(tensor, theirs[place]) for place, tensor in mine.items())
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "run" / "metrics.csv").read_text()
    assert not (folder / "previous.ckpt").exists(), "removed at the end of the run"


def test_run_without_intact_checkpoint_restarts(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run", stop=("train", 2, 1))
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.write_bytes(b"rubbish")
    run(compose_run, folder="run")
    assert "resuming from" not in (tmp_path / "run" / "run.log").read_text()
    assert checkpoint(tmp_path / "run", "last.ckpt")["global_step"] == 20


def test_damaged_best_checkpoint_is_replaced(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run", stop=("train", 2, 1))
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:-100])
    train(compose_run(*COMMON, folder="run"))
    assert "best.ckpt is missing or damaged" in (tmp_path / "run" / "run.log").read_text()
    assert is_intact(best)
