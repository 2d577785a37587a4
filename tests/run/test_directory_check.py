"""Runs that start at the same time, and draw the same directory name."""

import json
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from trainyard.cli.train import main
from trainyard.run.directory_check import RunDirectoryCallback

TINY = ("model.hidden_dims=[4]", "trainer.max_epochs=1", "callbacks=none", "logger=csv")


def test_a_taken_name_is_drawn_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = iter(["aaaa", "aaaa", "aaaa", "bbbb", "aaaa", "bbbb", "cccc"])
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(drawn))
    monkeypatch.chdir(tmp_path)
    moment = "hydra.run.dir=outputs/runs/20260101-000000-mlp-digits-${random_hex:}"
    for seed in range(3):
        monkeypatch.setattr(sys, "argv", ["train.py", moment, *TINY, f"seed={seed}"])
        main()
    runs = sorted((tmp_path / "outputs" / "runs").iterdir())
    assert [run.name[-4:] for run in runs] == ["aaaa", "bbbb", "cccc"]
    for seed, run in enumerate(runs):
        assert OmegaConf.load(run / "config.yaml").seed == seed
        assert OmegaConf.load(run / "config.yaml").run.dir == str(run)
        assert f"seed={seed}" in OmegaConf.load(run / "overrides.yaml")
        assert json.loads((run / "result.json").read_text())["status"] == "completed"


def test_simultaneous_runs_get_different_directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: f"{secrets.randbelow(16):x}")  # so that they often collide

    def claim(_: int) -> str:
        config = OmegaConf.create({"hydra": {"run": {"dir": f"{tmp_path}/run-${{random_hex:}}"}}})
        RunDirectoryCallback().on_run_start(config)
        return str(config.hydra.run.dir)

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(claim, range(12)))
    assert len(set(names)) == 12
    assert {str(folder) for folder in tmp_path.iterdir()} == set(names)


def test_a_given_directory_is_used_again(tmp_path: Path) -> None:
    config = OmegaConf.create({"hydra": {"run": {"dir": f"{tmp_path}/mine"}}})
    RunDirectoryCallback().on_run_start(config)
    assert not (tmp_path / "mine").exists(), "Hydra creates it"
    (tmp_path / "mine").mkdir()
    RunDirectoryCallback().on_run_start(config)
    assert config.hydra.run.dir == f"{tmp_path}/mine"


def test_drawing_names_ends_if_all_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "aaaa")
    (tmp_path / "aaaa").mkdir()
    config = OmegaConf.create({"hydra": {"run": {"dir": f"{tmp_path}/${{random_hex:}}"}}})
    with pytest.raises(FileExistsError, match="names are taken"):
        RunDirectoryCallback().on_run_start(config)
