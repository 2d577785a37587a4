"""A run that was stopped at any step resumes in its directory and ends bitwise like a run without a stop."""

import json
import signal
from pathlib import Path

import lightning as L
import pytest
import torch

from tests.conftest import Compose
from tests.run.interrupted_runs import EPOCHS, Stop, Stopped, checkpoint, curves, run, tensors
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

PLANS = {
    "dropout": ["model=mlp", "model.dropout=0.3"],
    "ensemble": ["model=tabular", "model.dropout=0.2", "data=penguins", "data.batch_size=64"],
    "convolutions": ["model=cnn", "model.channels=[4]", "model.dropout=0.2", "scheduler=one_cycle"],
    "average": ["model=mlp", "model.dropout=0.2", "ema_decay=0.99"],
    "momentum": ["model=mlp", "optimizer=sgd", "optimizer.momentum=0.9", "scheduler=plateau", "objective=val/loss"],
    "augmentation": [
        "model=cnn",
        "model.channels=[4]",
        "augment=standard",
        "data.resident=false",
        "data.num_workers=0",
    ],
    "whitening": ["model=whitened_cnn", "model.channels=[4]", "augment.alternate_flips=true", "ema_decay=0.9"],
    "accumulation": ["model=mlp", "model.dropout=0.1", "data.batch_size=128", "trainer.accumulate_grad_batches=3"],
    "two validations": ["model=mlp", "data.batch_size=128", "+trainer.val_check_interval=0.5"],
}
STOPS: list[Stopped] = [
    ("train", 0, 2),
    ("val", 1, 0),
    ("train", 2, -1),
    ("val", 3, 0),
]  # -1: the last batch of an epoch
EXPECTED = {"ensemble": [3, 8, 12, 16], "accumulation": [1, 8, 12, 16], "two validations": [3, 15, 30, 35]}


class ResetWeights(L.Callback):
    """Sets all weights to zero from the third epoch on."""

    @torch.no_grad()
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for weights in pl_module.parameters() if trainer.current_epoch >= 2 else ():
            weights.zero_()


@pytest.mark.parametrize("plan", PLANS)
def test_resumed_run_equals_uninterrupted_run(compose_run: Compose, tmp_path: Path, plan: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(compose_run, *PLANS[plan], folder="whole")
    steps = []
    for stop in STOPS:
        run(compose_run, *PLANS[plan], folder="parts", stop=stop)
        steps.append(checkpoint(parts, "last.ckpt")["global_step"])
    assert steps == EXPECTED.get(plan, [3, 10, 15, 20])
    assert "fingerprint" in (parts / "result.json").read_text()
    run(compose_run, *PLANS[plan], folder="parts")
    assert (parts / "run.log").read_text().count("resuming from") == len(STOPS)
    for name in ("last.ckpt", "best.ckpt"):
        one, other = checkpoint(whole, name), checkpoint(parts, name)
        for key in ("epoch", "global_step", "metrics"):
            assert one[key] == other[key]
        mine, theirs = tensors(one), tensors(other)
        assert len(mine) > 4
        assert mine.keys() == theirs.keys()
        assert [place for place, tensor in mine.items() if not torch.equal(tensor, theirs[place])] == []
        assert one["callbacks"]["BestCheckpoint"]["best_loss"] == other["callbacks"]["BestCheckpoint"]["best_loss"]
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()
    drawn = curves(parts)
    assert drawn == curves(whole)
    for name in ("val/loss", "lr-Adam") if "momentum" not in plan else ("val/loss",):
        steps = [step for step, _ in drawn.get(name, [])]
        assert len(steps) >= EPOCHS or name != "val/loss"
        assert steps == sorted(set(steps))


def test_signals_of_a_scheduler_save_the_run(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(compose_run, folder="whole")
    parts = tmp_path / "parts"
    for how, code, batch in ((signal.SIGTERM, 143, 1), (signal.SIGUSR1, 138, 3)):
        monkeypatch.setattr(Stop, "how", how)
        before = signal.getsignal(how)
        run(compose_run, folder="parts", stop=("train", 2, batch))
        assert code == 128 + how, "as of every process that the signal ended"
        assert checkpoint(parts, "last.ckpt")["global_step"] == 2 * 5 + batch + 1
        assert signal.getsignal(how) == before, "others have their handlers back"
    run(compose_run, folder="parts")
    assert (tmp_path / "whole" / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()


def test_resumed_run_keeps_the_best_checkpoint(compose_run: Compose, tmp_path: Path) -> None:
    """The weights are reset after the second epoch, so the best checkpoint is older than the stop."""
    worse = ["model=mlp", "objective=val/loss", f"+callbacks.reset._target_={__name__}.ResetWeights"]
    for folder, stops in (("whole", [None]), ("parts", [("train", 3, 1), None])):
        for stop in stops:
            run(compose_run, *worse, folder=folder, stop=stop)
        assert checkpoint(tmp_path / folder, "last.ckpt")["epoch"] == EPOCHS - 1
        assert checkpoint(tmp_path / folder, "best.ckpt")["epoch"] == 1
    results = [json.loads((tmp_path / folder / "result.json").read_text()) for folder in ("whole", "parts")]
    assert results[0]["objective"]["epoch"] == 2
    assert results[0]["metrics"] == results[1]["metrics"]


def test_changed_config_starts_from_step_0(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run", stop=("train", 1, 2))
    (tmp_path / "run" / "notes.txt").write_text("mine\n")
    run(compose_run, "seed=1", folder="run")
    run(compose_run, "seed=1", folder="fresh")
    assert "resuming from" not in (tmp_path / "run" / "run.log").read_text()
    one, other = (tensors(checkpoint(tmp_path / name, "last.ckpt")) for name in ("run", "fresh"))
    assert all(torch.equal(tensor, other[place]) for place, tensor in one.items())
    assert (tmp_path / "run" / "metrics.csv").read_text() == (tmp_path / "fresh" / "metrics.csv").read_text()
    assert curves(tmp_path / "run") == curves(tmp_path / "fresh")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine\n"


def test_new_run_removes_earlier_predictions(compose_run: Compose, tmp_path: Path) -> None:
    kept = tmp_path / "run" / "predictions" / "val.npz"
    run(compose_run, "callbacks=default", folder="run")
    assert kept.is_file()
    run(compose_run, "seed=1", "callbacks=none", folder="run")
    assert not kept.exists()


def test_completed_run_starts_from_step_0(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run")
    first = (tmp_path / "run" / "metrics.csv").read_text()
    written = (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    run(compose_run, folder="run")
    assert "resuming from" not in (tmp_path / "run" / "run.log").read_text()
    assert (tmp_path / "run" / "metrics.csv").read_text() == first
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").stat().st_mtime_ns > written


def test_failed_run_starts_from_step_0(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run", stop=("train", 1, 2))
    result = tmp_path / "run" / "result.json"
    result.write_text(result.read_text().replace("interrupted", "failed"))
    run(compose_run, folder="run")
    assert "resuming from" not in (tmp_path / "run" / "run.log").read_text()


def test_rejected_config_leaves_the_earlier_run_unchanged(compose_run: Compose) -> None:
    cfg = compose_run("model.hidden_dims=[8]", "logger=csv")
    train(cfg)
    folder = Path(cfg.run.dir)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "run.log"}
    with pytest.raises(ConfigError, match=r"optimizer\.lr=-1"):
        train(compose_run("model.hidden_dims=[8]", "logger=csv", "optimizer.lr=-1"))
    assert {file: file.read_bytes() for file in before} == before
