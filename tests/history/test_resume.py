"""`resume=RUN` resumes a run in its directory, with its config or with overrides."""

import json
import multiprocessing
import shutil
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from tests.conftest import Compose
from tests.run.interrupted_runs import COMMON, run
from trainyard.cli.train import main
from trainyard.config.composition import compose
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError
from trainyard.run.run_directory import lock
from trainyard.run.summary import resume_command
from trainyard.run.training import train

FEW = [word for word in COMMON if "stop" not in word]


@pytest.fixture
def train_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run train.py in an empty folder; return the exit code and the output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def execute(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["train.py", *words, "--trusted-packages", "tests"])  # which stops it
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return execute


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was stopped in its third epoch, and one that was not; tests copy the runs."""
    folder = tmp_path_factory.mktemp("trained")

    def composed(*overrides: str, folder: Path) -> DictConfig:
        return compose([f"hydra.run.dir={folder}", "trainer.max_epochs=2", *overrides])

    run(composed, folder=folder / "stopped", stop=("train", 2, 1))
    run(composed, folder=folder / "whole")
    return folder


def copy_run(run: Path, outputs: Path) -> Path:
    """Copy a run to `outputs/runs/first`, as if it had been trained there."""
    folder = Path(shutil.copytree(run, outputs / "runs" / "first"))
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace(str(run), str(folder)))
    (outputs / "latest").symlink_to("runs/first")
    return folder


@pytest.fixture
def stopped(trained: Path, tmp_path: Path, train_command) -> Path:
    return copy_run(trained / "stopped", tmp_path / "outputs")


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("name", ["latest", "first", "outputs/runs/first/"])
def test_resumed_run_equals_an_uninterrupted_run(trained: Path, stopped: Path, train_command, name: str) -> None:
    config = (stopped / "config.yaml").read_bytes()
    code, text = train_command(f"resume={name}")
    assert code == 0
    assert "last.ckpt, after step 12" in text
    assert result(stopped)["metrics"] == result(trained / "whole")["metrics"]
    assert (stopped / "metrics.csv").read_text() == (trained / "whole" / "metrics.csv").read_text()
    assert (stopped / "config.yaml").read_bytes() == config


def test_completed_run_can_train_more_epochs(stopped: Path, train_command) -> None:
    assert train_command("resume=latest", "trainer.max_epochs=5")[0] == 0
    assert result(stopped)["epochs"] == 5
    code, text = train_command("resume=latest")
    latest, *lines = text.splitlines()
    assert latest == "latest     outputs/runs/first"
    assert (code, lines) == (
        1,
        ["resume=first: is completed, after 5 epochs", "  accepted: with trainer.max_epochs=N to train longer"],
    )
    assert train_command("resume=latest", "trainer.max_epochs=6", "checkpoint.every_steps=3")[0] == 0
    assert result(stopped)["epochs"] == 6
    assert torch.load(stopped / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 30
    config = (stopped / "config.yaml").read_text()
    assert "max_epochs: 6" in config
    assert "every_steps: 3" in config
    steps = [line.split(",") for line in (stopped / "metrics.csv").read_text().splitlines()]
    places = [int(row[steps[0].index("step")]) for row in steps[1:]]
    assert places == sorted(places)


def test_older_configs_name_modules_that_have_been_moved(stopped: Path, train_command) -> None:
    config = stopped / "config.yaml"
    before = "callbacks:\n  confusion_matrix:\n    _target_: trainyard.tasks.validation_figures.ConfusionMatrix\n"
    config.write_text(config.read_text().replace("callbacks:\n", before))
    assert train_command("resume=first")[0] == 0
    assert "trainyard.reports.validation_figures.ConfusionMatrix" in config.read_text()
    config.write_text(config.read_text().replace("trainyard.reports", "trainyard.tasks"))
    config_to_test(StoredRun(stopped), trusted=["tests"])


@pytest.mark.parametrize("end", ["\nsweep:\n", "\n  params: {}\n", "\nlogger:\n"])
def test_truncated_config_is_rejected(stopped: Path, train_command, end: str) -> None:
    config = stopped / "config.yaml"
    text = config.read_text()
    config.write_text(text[: text.index(end) + 1])
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    code, text = train_command("resume=first")
    assert (code, text.splitlines()[0]) == (1, "resume=first: its config.yaml is missing or damaged")
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_error_before_training_keeps_a_complete_result(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(compose_run(*FEW, "trainer.max_epochs=1", folder="run"))
    before = (tmp_path / "run" / "result.json").read_bytes()
    monkeypatch.setattr("trainyard.run.training.check_batches", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(compose_run(*FEW, "trainer.max_epochs=2", folder="run"), resume=True)
    assert (tmp_path / "run" / "result.json").read_bytes() == before


def test_failed_run_resumes_on_request(stopped: Path, train_command) -> None:
    failed = {**result(stopped), "status": "failed", "error": "RuntimeError: the cable is loose"}
    (stopped / "result.json").write_text(json.dumps(failed))
    code, text = train_command("resume=first")
    assert code == 0
    assert "resuming from" in text
    assert result(stopped)["status"] == "completed"


WRONG = {
    "resume=frst": ["frst: unknown run", "first"],
    "resume=first optimizer.lr=0.1": [
        "optimizer.lr=0.1: model, data, optimizer and schedule of a run cannot change",
        "trainer.max_epochs=50",
    ],
    "resume=first model=cnn": ["model=cnn: model, data, optimizer and schedule of a run cannot change"],
    "resume=first trainer.max_epoch=9": [
        "trainer.max_epoch=9: the stored config has no such key",
        "trainer.max_epochs",
    ],
    "resume=first trainer.max_epochs=1,2": ["trainer.max_epochs=1,2: neither a sweep"],
    "resume=first trainer.max_epochs=0": ["trainer.max_epochs=0", "a whole number from 1"],
    "resume=first trainer.max_epochs": ["resume=trainer.max_epochs: "],
}


@pytest.mark.parametrize("words", WRONG)
def test_invalid_commands_change_nothing(stopped: Path, train_command, words: str) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    code, text = train_command(*words.split())
    assert code == 1
    assert len(text.splitlines()) <= 5, text
    assert [part for part in WRONG[words] if part not in text] == []
    assert {path: path.read_bytes() for path in before if path.name != "run.log"} == {
        path: content for path, content in before.items() if path.name != "run.log"
    }


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def spoil(checkpoints: Path, damage: str) -> None:
    last, previous = checkpoints / "last.ckpt", checkpoints / "previous.ckpt"
    if damage in ("missing", "all missing"):
        last.unlink()
    if damage == "all missing":
        (checkpoints / "best.ckpt").unlink()
    if damage == "cut":
        last.write_bytes(last.read_bytes()[:1000])
    if damage == "both damaged":
        previous.write_bytes(b"")
        last.write_bytes(b"\0" * 100)
    if damage == "a folder":
        last.unlink()
        last.mkdir()
    if damage in ("no folder", "a file"):
        shutil.rmtree(checkpoints)
    if damage == "a file":
        checkpoints.touch()


DAMAGES = ["missing", "all missing", "cut", "both damaged", "a folder", "no folder", "a file"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_complete_run_without_checkpoint_is_rejected_unchanged(
    trained: Path, tmp_path: Path, train_command, damage: str
) -> None:
    folder = copy_run(trained / "whole", tmp_path / "outputs")
    spoil(folder / "checkpoints", damage)
    before = contents(folder)
    code, text = train_command("resume=first", "trainer.max_epochs=9")
    assert code == 1
    assert len(text.splitlines()) == 2, text
    expected = "checkpoints is a file, but must be a folder" if damage == "a file" else "nothing was changed"
    assert expected in text
    assert contents(folder) == before


def test_run_without_checkpoint_starts_again(trained: Path, stopped: Path, train_command) -> None:
    shutil.rmtree(stopped / "checkpoints")
    (stopped / "result.json").unlink()
    code, text = train_command("resume=first")
    assert (code, "resuming from" in text) == (0, False)
    assert result(stopped)["metrics"] == result(trained / "whole")["metrics"]
    assert not (stopped / ".replaced").exists(), "removed when the run is complete"


def test_replaced_run_is_removed_when_the_new_one_is_complete(compose_run: Compose, tmp_path: Path) -> None:
    run(compose_run, folder="run")
    folder, aside = tmp_path / "run", tmp_path / "run" / ".replaced" / "1"
    before = {path.relative_to(folder): content for path, content in contents(folder).items()}
    run(compose_run, "seed=1", folder="run", stop=("train", 1, 2))
    assert result(aside)["status"] == "completed"
    kept = {path.relative_to(aside): content for path, content in contents(aside).items()}
    assert {path: content for path, content in before.items() if path.name not in ("run.log", ".lock")} == kept
    run(compose_run, "seed=1", folder="run")
    assert result(folder)["status"] == "completed"
    assert not (folder / ".replaced").exists()


@pytest.mark.parametrize("name", ["config.yaml", "result.json", "metrics.csv", "run.log", "tensorboard"])
def test_folder_instead_of_a_file_is_rejected_before_writing(stopped: Path, train_command, name: str) -> None:
    place = stopped / name
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.touch() if name == "tensorboard" else place.mkdir()
    before = contents(stopped)
    code, text = train_command("resume=first")
    assert code == 1
    assert len(text.splitlines()) == 2, text
    assert ("config.yaml is missing" if name == "config.yaml" else f"{name} is a") in text
    assert contents(stopped) == before


def test_foreign_targets_are_not_built(stopped: Path, train_command) -> None:
    config = stopped / "config.yaml"
    config.write_text(config.read_text().replace("torch.optim.Adam", "os.system"))
    code, text = train_command("resume=first")
    assert code == 1
    assert "os.system: a stored config must not build it here" in text


def hold(folder: Path, ready: multiprocessing.Event, done: multiprocessing.Event) -> None:
    held = lock(folder, ConfigError("locked"))
    ready.set()
    done.wait(60)
    assert held is not None


def test_directory_is_locked(stopped: Path, train_command) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(stopped, ready, done))
    process.start()
    assert ready.wait(60)
    code, text = train_command("resume=first")
    done.set()
    process.join()
    assert code == 1
    assert "another process trains there" in text
    assert result(stopped)["status"] == "interrupted", "as it was"
    assert train_command("resume=first")[0] == 0, "the lock is released when a process ends"


def test_resume_with_the_python_api(stopped: Path) -> None:
    cfg = compose([f"hydra.run.dir={stopped}", "trainer.max_epochs=3", *FEW[:1], "callbacks=none", "accelerator=cpu"])
    train(cfg, resume=True)
    assert result(stopped)["epochs"] == 3


def test_printed_command_contains_trusted_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs" / "my run"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", "my modules")
    monkeypatch.setattr(sys, "argv", ["/x/bin/trainyard"])
    text = "model:\n  _target_: mine.Net\ncallbacks:\n  c:\n    _target_: other.Callback\nrun:\n  dir: x\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    own = "--trusted-packages mine --trusted-packages other"
    assert resume_command(folder) == f"PYTHONPATH='my modules' trainyard 'resume=my run' {own}"
    (folder / "config.yaml").write_text("model:\n  _target_: trainyard.models.mlp.MLP\n", encoding="utf-8")
    assert resume_command(folder) == "trainyard 'resume=my run'"
