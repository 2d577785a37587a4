"""Directories of runs, written without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trainyard.history.stored_run import StoredRun

CHOICES = {"model": "mlp", "data": "digits", "optimizer": "adam", "experiment": None}
SPLIT = {"examples": 100, "classes": 2, "least": 50, "most": 50, "labels": "aa", "inputs": "bb"}
GIT = {"commit": "a" * 40, "uncommitted_patch": "", "untracked": []}


def record(
    folder: Path,
    score: float = 0.9,
    choices: Mapping[str, Any] = {},
    overrides: Sequence[str] = (),
    config: Mapping[str, Any] = {},
    result: Mapping[str, Any] | None = {},
    provenance: Mapping[str, Any] = {},
    val: Mapping[str, Any] = SPLIT,
    curve: Sequence[float] = (),
) -> StoredRun:
    """Write what a run with a score would have left, with changes; no `result.json` where `result` is `None`."""
    folder.mkdir(parents=True)
    own = {"dir": str(folder), "choices": {**CHOICES, **choices}, "overrides": list(overrides)}
    whole = {
        "seed": 0,
        "run": own,
        "data": {"_target_": "trainyard.data.sources.builtin.Digits", "seed": 0, "batch_size": 64},
        "model": {"_target_": "trainyard.models.mlp.MLP", "hidden_dims": [256, 128], "dropout": 0.0},
        "optimizer": {"lr": 0.001, "fused": True, "betas": None},
        "logger": {"csv": {"save_dir": str(folder)}},
        "sweep": {"name": folder.name, "pruner": "none"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump({**whole, **config}, sort_keys=False))
    ended = {
        "status": "completed",
        "objective": {"name": "val/acc", "value": score, "epoch": 2},
        "metrics": {"val/acc": score, "val/loss": 1 - score, "test/acc": score, "test/loss": 1 - score},
        "epochs": 2,
        "checkpoint": "checkpoints/best.ckpt",
        "parameters": 10,
        "data": {"fingerprint": {"train": SPLIT, "val": dict(val)}},
        "seconds": 3.5,
        "error": None,
    }
    if result is not None:
        (folder / "result.json").write_text(json.dumps({**ended, **result}))
    origin = {
        "started": "2026-01-02T03:04:05+00:00",
        "directory": str(folder.parent),
        "git": GIT,
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "rich": "14.0"},
        "hardware": {"cores": 2, "threads": 1, "gpus": [], "platform": "Linux"},
    }
    (folder / "provenance.json").write_text(json.dumps({**origin, **provenance}))
    values = curve or (score - 0.1, score)
    rows = [f"{epoch},{10 * epoch + 9},{value!r},,0.5" for epoch, value in enumerate(values)]
    test = f"{len(values)},{10 * len(values)},,0.25,"
    (folder / "metrics.csv").write_text("\n".join(["epoch,step,val/acc,test/acc,lr/weights", *rows, test]) + "\n")
    return StoredRun(folder)


def predict(run: StoredRun, labels: Sequence[int], guesses: Sequence[int], classes: Sequence[str]) -> None:
    """Write predictions, as the best epoch leaves them."""
    folder = run.folder / "predictions"
    folder.mkdir()
    probabilities = np.eye(len(classes), dtype=np.float16)[list(guesses)]
    np.savez(folder / "val.npz", probabilities=probabilities, labels=np.array(labels), classes=np.array(classes))
