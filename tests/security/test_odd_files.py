"""Files of an untrusted run or sweep that are links, pipes, devices, or extremely large."""

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.security.tampering import set_config
from tests.sweeps.synthetic import stored
from trainyard.callbacks.checkpoint_files import is_intact
from trainyard.history.run_table import select_runs
from trainyard.history.saved_predictions import read_predictions
from trainyard.history.stored_config import config_to_resume
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError
from trainyard.io.files import check_regular_files, load_yaml, open_regular, read_json, write_json, write_text
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.run.load_model import load_model
from trainyard.run.metrics_csv import read_curves
from trainyard.run.run import Run
from trainyard.run.training import train
from trainyard.sweeps.leaderboard.report import leaderboard_cells, write_report
from trainyard.sweeps.stored import StoredSweep, lock_sweep

FILES = ["config.yaml", "result.json", "provenance.json", "overrides.yaml", "metrics.csv", "run.log"]
KINDS = ["pipe", "/dev/zero", "link", "folder", "huge"]


@pytest.fixture(autouse=True)
def timeout() -> Iterator[None]:
    """Stop a test that waits for a pipe or reads endlessly."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def replace_file(path: Path, kind: str) -> None:
    """Replace a file by a pipe, link, folder or huge file."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**34)  # sparse
    else:
        target = Path(kind) if kind != "link" else path.parent.parent / "victim"
        if kind == "link":
            target.write_text("{}")
        path.symlink_to(target)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_run_with_a_special_file_is_listed(run: Path, name: str, kind: str) -> None:
    folder = run.parent / "outputs" / "runs"
    folder.mkdir(parents=True)
    run = run.rename(folder / "run")
    replace_file(run / name, kind)
    [found] = select_runs([])
    assert found.status in (("broken",) if name == "result.json" else ("completed",))
    assert (found.config == {}) == (name == "config.yaml")
    assert (found.provenance.get("git") is None) == (name == "provenance.json")
    assert (read_curves(run) == {}) == (name == "metrics.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_special_files_are_not_read_as_checkpoints(run: Path, kind: str) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        replace_file(run / "checkpoints" / name, kind)
        if kind not in ("huge", "folder"):
            with pytest.raises(OSError, match=r"regular|ymbolic|levels"):
                open_regular(run / "checkpoints" / name, max_bytes=None)
        if kind != "huge":
            assert not is_intact(run / "checkpoints" / name)
    if kind != "huge":
        with pytest.raises(ConfigError):
            load_model(run / "checkpoints" / "best.ckpt")


LINKS = [
    "run.log",
    ".lock",
    "metrics.csv",
    "checkpoints/last.ckpt.1.draft",
    "predictions/.val.1.draft.npz",
    "deep/er/x",
]


@pytest.mark.parametrize("name", [*LINKS, "checkpoints", "tensorboard", "predictions"])
def test_resumed_run_does_not_follow_links(run: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("mine")
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rename(tmp_path / "before")
    path.unlink(missing_ok=True)
    path.symlink_to(outside if "." not in name and "/" not in name else outside / "victim")
    set_config(run, "logger", {})
    cfg = config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    with pytest.raises(ConfigError, match=r"is a link to .*outside of it\n  accepted: the link removed"):
        train(cfg, resume=True)
    assert [path.name for path in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_text() == "mine"
    assert json.loads((run / "result.json").read_text())["status"] == "completed"


def test_links_inside_of_a_run_are_accepted(run: Path) -> None:
    (run / "newest").symlink_to("checkpoints")
    check_regular_files("hydra.run.dir", run)
    os.mkfifo(run / "pipe")
    with pytest.raises(ConfigError, match="pipe, socket or device"):
        check_regular_files("hydra.run.dir", run)


def test_temporary_files_replace_existing_links(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".x.{os.getpid()}.draft.json").symlink_to(victim)
    (tmp_path / f".val.{os.getpid()}.draft.npz").symlink_to(victim)
    write_text(tmp_path / "x.json", "{}")
    ClassPredictions(torch.ones(1, 1), torch.zeros(1, dtype=torch.long), ("a",)).save(tmp_path / "val.npz")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "x.json").is_symlink()
    assert not (tmp_path / "val.npz").is_symlink()


@pytest.mark.parametrize("name", [".lock", "journal.log", "leaderboard.csv", "0/run.log"])
def test_sweep_does_not_follow_links(tmp_path: Path, name: str) -> None:
    sweep = stored(tmp_path / "sweep", ["seed=0,1"], [0.1, 0.9])
    (tmp_path / "victim").write_text("mine")
    (sweep.folder / name).unlink(missing_ok=True)
    (sweep.folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match="outside of it"), lock_sweep(sweep.folder):
        raise AssertionError
    (sweep.folder / f".leaderboard.{os.getpid()}.draft.png").symlink_to(tmp_path / "victim")
    write_report(sweep)
    assert (tmp_path / "victim").read_text() == "mine"


YAML_BOMBS = {
    "flow": "a: " + "[" * 100_000 + "]" * 100_000,
    "open": "a: " + "[" * 1_000_000,
    "blocks": "a:\n" + "- " * 100_000 + "x",
    "keys": "a:\n" + "? " * 100_000,
    "laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "merges": "a: &a {x: 1}\nb: {<<: [*a, *a]}",
    "numbers": f"a: {'9' * 100_000}",
    "dates": "a: 2026-99-99",
}


@pytest.mark.parametrize("text", YAML_BOMBS)
def test_yaml_bombs_are_rejected(tmp_path: Path, run: Path, text: str) -> None:
    import yaml

    with pytest.raises(yaml.YAMLError):
        load_yaml(YAML_BOMBS[text])
    indented = YAML_BOMBS[text].replace("\n", "\n  ")
    (run / "config.yaml").write_text(f"run:\n  {indented}\n")
    assert StoredRun(run).run_config == {}
    sweep = stored(tmp_path / "sweep", ["seed=0,1"], [0.1, 0.9])
    (sweep.folder / "sweep.yaml").write_text(f"objective: val/acc\nvalues:\n  {indented}\n")
    with pytest.raises(ConfigError, match=r"sweep\.yaml cannot be read"):
        StoredSweep.find(str(sweep.folder))


def test_deeply_nested_json_is_rejected(run: Path) -> None:
    for text in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000):
        (run / "result.json").write_text(text)
        (run / "provenance.json").write_text(text)
        with pytest.raises(ValueError, match="deeply"):
            read_json(run / "result.json")
        assert StoredRun(run).status == "broken"
        assert StoredRun(run).provenance["packages"] == {}
        assert config_to_resume(StoredRun(run)).seed == 0


@pytest.mark.parametrize("more", ["", "sampler: optuna.samplers.TPESampler\n"])
def test_sweep_with_too_many_jobs_is_rejected(tmp_path: Path, more: str) -> None:
    lists = [f"  {key}: [{', '.join(repr(str(n)) for n in range(220))}]" for key in ("seed", "data.seed", "data.fold")]
    (tmp_path / "sweep.yaml").write_text("objective: val/acc\nvalues:\n" + "\n".join(lists) + f"\n{more}")
    with pytest.raises(ConfigError, match="10,648,000 combinations"):
        StoredSweep.find(str(tmp_path))


def test_compressed_archives_are_not_read(run: Path) -> None:
    path = run / "checkpoints" / "best.ckpt"
    with zipfile.ZipFile(path) as before:
        parts = {part.filename: before.read(part) for part in before.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in parts.items():
            after.writestr(name, content + b"\0" * 10_000_000)
    with pytest.raises(ConfigError, match="compressed archive"):
        load_model(path)
    (run / "predictions").mkdir(exist_ok=True)
    head = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    with zipfile.ZipFile(run / "predictions" / "val.npz", "w") as file:
        file.writestr("labels.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    assert read_predictions(run) is None
    np.savez(run / "predictions" / "val.npz", labels=[0], probabilities=[[1.0]], classes=["a"])
    assert read_predictions(run) is not None


def test_checkpoint_outside_of_a_job_is_ignored(tmp_path: Path) -> None:
    sweep = stored(tmp_path / "sweep", ["seed=0,1"], [0.1, 0.9])
    for job in sweep.jobs:
        write_json(job.folder / "result.json", {**job.result, "checkpoint": "/etc/passwd"})
    assert "1/checkpoints/best.ckpt" in leaderboard_cells(sweep.rows, sweep.objective)[1]


def test_a_run_starts_in_a_folder_whose_hydra_files_are_links(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from trainyard.run.directory_check import RunDirectoryCallback

    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "config.yaml").symlink_to(tmp_path / "victim")
    config = OmegaConf.create({"hydra": {"run": {"dir": str(tmp_path / "run")}}})
    RunDirectoryCallback().on_run_start(config)
    assert list((tmp_path / "run" / ".hydra").iterdir()) == []
    assert Run(tmp_path / "run").dir.is_dir()
    assert (tmp_path / "victim").read_text() == "mine"
