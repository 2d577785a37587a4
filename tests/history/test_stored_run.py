"""Reading a run's directory, complete, incomplete or damaged."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from tests.conftest import Compose
from tests.history.recorded import record
from trainyard.history import stored_run
from trainyard.history.stored_run import QUIET, StoredRun, is_run, load_block
from trainyard.io.files import load_yaml


def test_config_is_read_part_by_part(compose_run: Compose, tmp_path: Path) -> None:
    cfg = compose_run("model=cnn", "optimizer.lr=1e-5", "data=penguins", "+trainer.profiler=null", "objective=val/loss")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    run = StoredRun(tmp_path / "run")
    assert run.config == OmegaConf.to_container(cfg)
    assert run.section("optimizer")["lr"] == 1e-5
    assert run.choices["model"] == "cnn"
    assert "experiment" not in run.choices
    assert run.overrides[:2] == ["trainer.max_epochs=2", "model=cnn"]


def test_names_can_be_used_in_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert StoredRun(Path("outputs/runs/one")).name == "one"
    Path("outputs/sweeps/S").mkdir(parents=True)
    Path("outputs/sweeps/S/sweep.yaml").touch()
    assert StoredRun(Path("outputs/sweeps/S/3")).name == "S/3"
    assert StoredRun(tmp_path / "elsewhere" / "one").name == str(Path("elsewhere/one"))


def test_status_of_a_run(tmp_path: Path) -> None:
    assert record(tmp_path / "a").status == "completed"
    assert record(tmp_path / "b", result={"status": "failed", "error": "E"}).status == "failed"
    running = record(tmp_path / "c", result=None)
    assert running.status == "running"
    before = time.time() - QUIET - 1
    for path in [*running.folder.iterdir(), running.folder]:
        os.utime(path, (before, before))
    assert StoredRun(running.folder).status == "unfinished"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", "run: [1"),
        ("config.yaml", ""),
        ("config.yaml", "\x00\x01"),
        ("config.yaml", "run: 3\n"),
        ("result.json", '{"status": "comp'),
        ("result.json", '{"status": "completed"}'),
        ("result.json", "[]"),
    ],
)
def test_run_with_a_truncated_file_is_broken(tmp_path: Path, name: str, content: str) -> None:
    run = record(tmp_path / "run", result=None)
    (run.folder / name).write_text(content)
    found = StoredRun(run.folder)
    assert found.status == "broken"
    assert (found.result, found.metrics) == ({}, {})
    assert found.started.year == 2026


def test_invalid_provenance_has_no_packages(tmp_path: Path) -> None:
    run = record(tmp_path / "run")
    (run.folder / "provenance.json").write_text('{"packages": 3}')
    assert run.provenance == {"packages": {}, "hardware": {}}
    assert run.started.timestamp() == pytest.approx(max(run.write_times))


def test_only_paths_in_the_run_directory_are_moved(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = record(folder, config={"data": {"root": f"{folder}-pictures", "files": [f"{folder}/a", "b"]}})
    moved = run.config_moved_to("/new")
    assert moved["run"]["dir"] == moved["logger"]["csv"]["save_dir"] == "/new"
    assert moved["data"] == {"root": f"{folder}-pictures", "files": ["/new/a", "b"]}
    assert yaml.safe_load((folder / "config.yaml").read_text())["run"]["dir"] == str(folder)


def test_folder_without_run_files_is_not_a_run(tmp_path: Path) -> None:
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "missing")
    (tmp_path / "run.log").touch()
    assert is_run(tmp_path)


def test_values_of_another_type_are_ignored(tmp_path: Path) -> None:
    failed = {"status": "failed", "metrics": [1], "objective": "val/acc", "data": "digits"}
    own = {"dir": 3, "choices": [1], "overrides": 7}
    run = record(tmp_path / "run", result=failed, config={"run": own}, provenance={"packages": 3, "started": []})
    assert (run.metrics, run.choices, run.overrides, run.fingerprint) == ({}, {}, [], None)
    assert (run.columns["status"], run.columns["best"]) == ("failed", None)
    assert run.config_moved_to("/new")["run"] == own


def test_equal_choices_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def load(text: str) -> Any:
        parsed.append(text)
        return load_yaml(text)

    load_block.cache_clear()
    monkeypatch.setattr(stored_run, "load_yaml", load)
    for number in range(20):
        run = {"dir": f"/runs/{number}", "choices": {"model": "mlp", "data": None}, "overrides": [f"seed={number}"]}
        (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create({"seed": 0, "run": run, "x": 1})))
        assert StoredRun(tmp_path).run_config == run
    assert sum("choices" in text for text in parsed) == 1
    assert len(parsed) == 41


@pytest.mark.parametrize(
    "text", ["run: {dir: a, choices: {model: cnn}}", "run:\n  # mine\n  dir: a\n  choices: {model: cnn}"]
)
def test_an_edited_config_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(f"seed: 0\n{text}\n")
    assert StoredRun(tmp_path).run_config == {"dir": "a", "choices": {"model": "cnn"}}
