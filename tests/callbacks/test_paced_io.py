"""Pending checkpoints are written when a run ends in any way, and files are never incomplete."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch

from tests.conftest import Compose
from tests.sweeps.sweeping import until
from trainyard.callbacks import checkpoint_files
from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
from trainyard.data.sources.builtin import Digits
from trainyard.models.mlp import MLP
from trainyard.run.load_model import load_model
from trainyard.run.training import train

REPOSITORY = Path(__file__).parents[2]
# Saves a checkpoint over another and is killed when half of the file is written.
KILLED_IN_WRITING = """
import io, os, signal, sys
from pathlib import Path
import torch
from trainyard.callbacks.checkpoint_files import PacedCheckpointIO
save = torch.save
def half(checkpoint, path):
    whole = io.BytesIO()
    save(checkpoint, whole)
    Path(path).write_bytes(whole.getvalue()[:len(whole.getvalue()) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
writer = PacedCheckpointIO(pause=0)
writer.save_checkpoint({"weights": torch.ones(1000)}, sys.argv[1])
torch.save = half
writer.save_checkpoint({"weights": torch.zeros(1000)}, sys.argv[1])
"""


def weights(path: Path) -> list[float]:
    return torch.load(path, weights_only=True)["weights"].tolist()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_newest_pending_checkpoint_is_written_at_the_end(tmp_path: Path) -> None:
    writer = PacedCheckpointIO(pause=60)
    for number in range(3):
        for name in ("best", "last"):
            writer.save_checkpoint({"weights": torch.full((2,), number)}, tmp_path / name)
    assert names(tmp_path) == []
    writer.teardown()
    assert names(tmp_path) == ["best", "last"]
    assert weights(tmp_path / "best") == weights(tmp_path / "last") == [2, 2]


def test_pending_checkpoint_is_a_copy(tmp_path: Path) -> None:
    writer = PacedCheckpointIO(pause=60)
    checkpoint = {"weights": torch.arange(3), "optimizer": {"state": [torch.ones(2)]}, "epoch": 1}
    writer.save_checkpoint(checkpoint, tmp_path / "last")
    checkpoint["weights"].zero_()
    checkpoint["optimizer"]["state"][0].zero_()
    checkpoint["optimizer"]["state"].clear()
    checkpoint["epoch"] = 2
    writer.teardown()
    stored = torch.load(tmp_path / "last", weights_only=True)
    assert (stored["weights"].tolist(), stored["epoch"]) == ([0, 1, 2], 1)
    assert [state.tolist() for state in stored["optimizer"]["state"]] == [[1, 1]]


def test_all_pending_checkpoints_are_written_after_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(checkpoint_files, "time", SimpleNamespace(monotonic=lambda: now))
    writer = PacedCheckpointIO(pause=10)
    writer.save_checkpoint({"weights": torch.ones(2)}, tmp_path / "new" / "best")
    assert not (tmp_path / "new").exists()
    now += 11
    writer.save_checkpoint({"weights": torch.zeros(2)}, tmp_path / "new" / "last")
    writer.wait()
    assert names(tmp_path / "new") == ["best", "last"]
    writer.save_checkpoint({"weights": torch.zeros(2)}, tmp_path / "new" / "best")
    assert weights(tmp_path / "new" / "best") == [1, 1], "a new pause has begun"


def test_pending_checkpoint_can_be_loaded_and_removed(tmp_path: Path) -> None:
    writer = PacedCheckpointIO(pause=60)
    for name in ("a", "b", "c"):
        writer.save_checkpoint({"weights": torch.ones(2)}, tmp_path / name)
    writer.remove_checkpoint(tmp_path / "a")
    assert writer.load_checkpoint(tmp_path / "b")["weights"].tolist() == [1, 1]
    writer.remove_checkpoint(tmp_path / "c")
    writer.teardown()
    assert names(tmp_path) == ["b"]


def test_nothing_is_pending_after_the_end(tmp_path: Path) -> None:
    writer = PacedCheckpointIO(pause=60)
    writer.teardown()
    for name in ("a", "b"):
        writer.save_checkpoint({"weights": torch.ones(2)}, tmp_path / name)
        assert weights(tmp_path / name) == [1, 1]


def test_a_failed_write_keeps_the_old_file_and_the_pending_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PacedCheckpointIO(pause=0)
    writer.save_checkpoint({"weights": torch.zeros(2)}, tmp_path / "last")

    def full(checkpoint: dict, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space"):
            writer.save_checkpoint({"weights": torch.ones(2)}, tmp_path / "last")
    assert (names(tmp_path), weights(tmp_path / "last")) == (["last"], [0, 0])
    writer.teardown()
    assert (names(tmp_path), weights(tmp_path / "last")) == (["last"], [1, 1])


def test_kill_during_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    child = subprocess.run([sys.executable, "-c", KILLED_IN_WRITING, str(path)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert weights(path) == [1] * 1000
    assert [name for name in names(tmp_path) if name.endswith(".ckpt")] == ["last.ckpt"]


def test_lightnings_learning_rate_finder_restores_its_checkpoint(tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import LearningRateFinder

    data = Digits(256)
    model = MLP(data.spec, [8], optimizer=torch.optim.SGD)
    model.lr = 1e-3
    finder = LearningRateFinder(num_training_steps=20)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=5, default_root_dir=tmp_path, plugins=[PacedCheckpointIO()], callbacks=[finder],
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, data)
    assert len(finder.optimal_lr.results["lr"]) == 20
    assert names(tmp_path) == []


def test_failed_run_writes_its_checkpoints(compose_run: Compose) -> None:
    one_step = ["+trainer.limit_train_batches=1", "optimizer=sgd", "optimizer.lr=1e20", "scheduler=constant"]
    cfg = compose_run(*one_step, "optimizer.momentum=0", "optimizer.nesterov=false", "logger=csv")
    with pytest.raises(FloatingPointError, match="at step 2"):
        train(cfg)
    folder = Path(cfg.run.dir)
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"
    for name in ("best.ckpt", "last.ckpt"):
        stored = torch.load(folder / "checkpoints" / name, weights_only=True)
        assert (stored["epoch"], stored["global_step"]) == (0, 1)
    assert load_model(folder / "checkpoints" / "last.ckpt").hparams["hidden_dims"]


def rows_of(folder: Path) -> list[dict[str, str]]:
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row.get("val/acc")]


def test_interrupted_run_writes_the_checkpoint_of_its_last_step(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["trainer.max_epochs=100000", "data.batch_size=256", "callbacks=none", "logger=csv", "accelerator=cpu"]
    command = [sys.executable, "train.py", *options, f"hydra.run.dir={folder}"]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(rows_of(folder)) >= 5)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=300) == 130
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    epochs = len(rows_of(folder))
    assert epochs >= 5
    stored = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert stored["epoch"] in (epochs, epochs - 1)
    assert stored["global_step"] >= 5 * epochs
    assert names(folder / "checkpoints") == ["best.ckpt", "last.ckpt"]
