"""The same config and seed give bitwise equal runs; another seed gives a different one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.determinism.tiny_runs import QUICK, RUNS, config, read_output, run
from trainyard.run.run_builder import build_data


@pytest.mark.parametrize("name", RUNS)
def test_the_same_seed_gives_the_same_run_independent_of_earlier_draws(name: str, tmp_path: Path) -> None:
    first = run(tmp_path / "first", *RUNS[name], "seed=3")
    torch.manual_seed(99)
    torch.rand(7)
    assert run(tmp_path / "again", *RUNS[name], "seed=3").equals(first)
    other = run(tmp_path / "other", *RUNS[name], "seed=4")
    assert other.result["metrics"]["val/loss"] != first.result["metrics"]["val/loss"]
    changed = [key for key in first.weights if not torch.equal(first.weights[key], other.weights[key])]
    assert any(key.startswith("net.") or "head" in key for key in changed), changed


def test_the_split_does_not_depend_on_the_seed_of_the_run(tmp_path: Path) -> None:
    splits = [build_data(config(tmp_path, *RUNS["mlp"], f"seed={seed}")).splits for seed in (0, 1)]
    for name in ("train", "val", "test"):
        assert torch.equal(splits[0][name].x, splits[1][name].x)
        assert torch.equal(splits[0][name].y, splits[1][name].y)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "transfer"])
def test_runs_do_not_depend_on_the_hash_seed(name: str, tmp_path: Path) -> None:
    for seed in ("1", "4321"):
        command = [sys.executable, "-m", "trainyard", f"hydra.run.dir={tmp_path / seed}", *QUICK, *RUNS[name]]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=tmp_path, check=True)
    first = read_output(tmp_path / "1")
    assert read_output(tmp_path / "4321").equals(first)
    assert run(tmp_path / "current", *RUNS[name]).equals(first), "also in this process"
